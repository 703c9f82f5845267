// SPDX-License-Identifier: MIT
//
// Processes and workers that end at bad moments, and how the module is loaded.
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { Worker } = require('node:worker_threads');
const { once } = require('node:events');
const { pathToFileURL } = require('node:url');

const INDEX = path.join(__dirname, '..', 'index.js');

function run(program, { args = [], module = false, status = 0 } = {}) {
  const done = spawnSync(process.execPath, [...args, ...(module ? ['--input-type=module'] : []), '-e', program], {
    encoding: 'utf8', timeout: 60000, env: { ...process.env, NODE_OPTIONS: '', NODE_TEST_CONTEXT: '', INDEX },
  });
  assert.equal(done.signal, null, done.stderr);
  assert.equal(done.status, status, done.stderr);
  return done.stdout;
}

const START = `
  const { Capture, Pool } = require(process.env.INDEX);
  const capture = new Capture({ speed: 50, buffers: 64 });
`;

test('ES modules can import it by name', () => {
  const out = run(`
    import { Capture, Pool, Packet } from ${JSON.stringify(pathToFileURL(INDEX).href)};
    const pool = new Pool();
    const capture = new Capture({ frames: 480 });
    for await (const packet of capture) { console.log(packet instanceof Packet, packet.frames); packet.release(); }
    console.log(pool.acquire(5).length);
  `, { module: true });
  assert.equal(out, 'true 480\n5\n');
});

test('the program of the page does what the page says', () => {
  const root = path.join(__dirname, '..', '..', '..');
  const page = fs.readFileSync(path.join(root, 'docs', 'audio-node.md'), 'utf8');
  const program = /^```js\n(.*?)^```/ms.exec(page)[1];
  const lines = run(program.replace("'./examples/node'", 'process.env.INDEX')).trim().split('\n');
  // On a busy machine frames may be missing, and it says so.
  lines.filter((line) => !/^\d+ frames are missing$/.test(line)).forEach((line) => {
    const [pts, peak] = line.split(' ').map(Number);
    assert.equal(pts % 480, 0);
    assert.ok(peak > 0.4 && peak <= 0.5, line);
  });
});

test('a process that nobody waits in ends', () => {
  assert.equal(run(`${START} console.log('done')`), 'done\n');
  assert.equal(run(`${START} capture.once('data', (packet) => { packet.release(); console.log('done'); })`), 'done\n');
  assert.equal(run(`${START} capture.next().then((packet) => console.log(packet.frames))`), '480\n');
});

test('a process that waits goes on until the end', () => {
  assert.equal(run(`
    const { Capture } = require(process.env.INDEX);
    let frames = 0;
    new Capture({ frames: 9600, speed: 2, buffers: 32 })
      .on('data', (packet) => { frames += packet.frames; packet.release(); })
      .on('end', () => console.log(frames));
  `), '9600\n');
});

test('where there are no external buffers packets are copied, and all else is the same', () => {
  const out = run(`
    const path = require('node:path');
    const { native } = require(path.join(path.dirname(process.env.INDEX), 'memory.js'));
    native.external = () => false;
    const { Capture, Pool } = require(process.env.INDEX);
    const capture = new Capture({ sample: 's32', frames: 4800, speed: 4, buffers: 32 });
    const pool = new Pool();
    const buffer = pool.acquire(3);
    buffer.data.fill(7);
    let right = true;
    capture.on('data', (packet) => {
      const { samples, pts } = packet;
      for (let i = 0; i < samples.length; i++) right = right && samples[i] === pts * 2 + i;
      packet.release();
    });
    capture.on('end', () => {
      const { copies, copiedBytes } = capture.stats();
      console.log(copies, copiedBytes, right, buffer.data.join());
    });
  `);
  assert.equal(out, 'true 38400 true 7,7,7\n');
});

test('exits with packets out', () => {
  const held = `${START}
    const pool = new Pool();
    const held = [pool.acquire(10), pool.acquire(100000)];
    held.forEach((buffer) => buffer.data.fill(1));
    const timer = setInterval(() => {
      for (let packet; held.length < 20 && (packet = capture.read()) !== null;) { packet.data; held.push(packet); }
      if (held.length < 20) return;
      clearInterval(timer);
      held.push(held[5].slice(1));
      console.log(held.length > 20);
      END
    }, 5);
  `;
  const ends = [
    ['', 0], ['process.exit(3)', 3], ['process.exitCode = 4', 4], ['capture.close(); process.exit(5)', 5],
    ['capture.on("data", () => {}); setImmediate(() => process.exit(6))', 6],
    ['process.on("exit", () => { held.forEach((one) => one.release()); capture.close(); })', 0],
    ['process.on("exit", () => { capture.read(); })', 0],
  ];
  for (const [end, status] of ends) assert.equal(run(held.replace('END', end), { status }), 'true\n', end);
});

test('an exception that nobody catches ends the process as any other', () => {
  const done = spawnSync(process.execPath, ['-e', `${START} capture.on('data', () => { throw new Error('mine'); });`], {
    encoding: 'utf8', timeout: 60000, env: { ...process.env, INDEX, NODE_TEST_CONTEXT: '' },
  });
  assert.equal(done.status, 1);
  assert.match(done.stderr, /Error: mine/);
  assert.doesNotMatch(done.stderr, /DEP0168/);
});

test('an exception that is caught costs nothing but its packet', () => {
  const out = run(`
    const { Capture } = require(process.env.INDEX);
    const capture = new Capture({ frames: 4800, speed: 4, buffers: 32 });
    let caught = 0;
    let seen = 0;
    process.on('uncaughtException', () => { caught++; });
    capture.on('data', (packet) => {
      packet.release();
      if (++seen % 2) throw new Error('mine');
    });
    capture.on('end', () => console.log(seen, caught, capture.stats().out));
  `);
  assert.equal(out, '10 5 0\n');
});

const WORKER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { Capture, Pool } = require(workerData.index);
  const capture = new Capture({ speed: 20, sample: 's32', buffers: 64, ...workerData.options });
  const pool = new Pool();
  const held = [pool.acquire(100)];
  let packets = 0;
  capture.on('data', (packet) => {
    const { samples, pts } = packet;
    for (let i = 0; i < samples.length; i++) if (samples[i] !== pts * 2 + i) throw new Error('wrong');
    if (held.length < 5) held.push(packet);
    else packet.release();
    if (++packets === 20) parentPort.postMessage(capture.stats().out);
    if (packets === 25 && workerData.exit) process.exit(0);
    if (packets === 25 && workerData.loop) for (;;) capture.read()?.release();
  });
`;

test('workers: each has its own; terminated with packets out, in a loop, or ended by themselves', async () => {
  const workers = [];
  for (let i = 0; i < 12; i++) {
    const worker = new Worker(WORKER, {
      eval: true,
      workerData: { index: INDEX, exit: i % 3 === 1, loop: i % 3 === 2, options: { copies: i % 2 === 1 } },
    });
    const gone = once(worker, 'exit');
    workers.push((async () => {
      const [out] = await once(worker, 'message');
      if (i % 3 !== 1) await worker.terminate();
      await gone;
      return out;
    })());
  }
  for (const out of await Promise.all(workers)) assert.ok(out >= 4, `${out}`);
});

test('a worker that is terminated while it starts', async () => {
  for (let i = 0; i < 8; i++) {
    const worker = new Worker(WORKER, { eval: true, workerData: { index: INDEX } });
    await once(worker, 'online');
    await new Promise((resolve) => { setTimeout(resolve, i * 4); });
    await worker.terminate();
  }
});

test('the module can be loaded again after its only worker has gone', () => {
  assert.equal(run(`
    const { Worker } = require('node:worker_threads');
    const program = ${JSON.stringify(WORKER)};
    (async () => {
      for (let i = 0; i < 4; i++) {
        const worker = new Worker(program, { eval: true, workerData: { index: process.env.INDEX } });
        await new Promise((resolve) => worker.once('message', resolve));
        await worker.terminate();
      }
      const { Capture } = require(process.env.INDEX);
      const packet = await new Capture().next();
      console.log(packet.frames);
    })();
  `), '480\n');
});

test('memory of workers that are gone is gone', () => {
  const out = run(`
    const { Worker } = require('node:worker_threads');
    const program = \`
      const { workerData } = require('node:worker_threads');
      const { Pool } = require(workerData);
      const pool = new Pool({ tiers: [{ size: 1 << 20 }] });
      const held = Array.from({ length: 32 }, () => pool.acquire(1 << 20));
      held.forEach((buffer) => buffer.data.fill(1));
    \`;
    (async () => {
      let first;
      for (let i = 0; i < 20; i++) {
        const worker = new Worker(program, { eval: true, workerData: process.env.INDEX });
        await new Promise((resolve) => worker.once('exit', resolve));
        if (i === 4) first = process.memoryUsage().rss;
      }
      console.log(process.memoryUsage().rss - first < 100 * (1 << 20));
    })();
  `);
  assert.equal(out, 'true\n');
});
