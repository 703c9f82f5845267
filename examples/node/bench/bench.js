// SPDX-License-Identifier: MIT
//
// What a packet costs in Node.js, ours beside a copy of each, from the same device.
//
//     node bench.js [--rounds 3] [--rates 100,1000,100000] [--seconds 30,12,7] [--json FILE]
//
// Packets have 3,840 bytes: 480 frames of two channels in 32 bits. Each run is a process of its own;
// those of a round follow one another in an order that changes, and a figure is the median of the
// rounds, with the least and the most of them.
//
//     copy      an event for each packet, and Buffer.from() of it
//     ours      an event for each packet: a cached view of the pool's memory, and release()
//     batch     the same by readBatch() every 5 ms
//     external  one external ArrayBuffer for each packet (a `checked` capture): the trap
//     idle      the process, its device and its timers; nobody reads
//
// Allocated is what V8 says of its heap (--trace-gc-nvp) and, for copies, their bytes. A run begins
// with two seconds that are not counted.
'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');

const WARM_S = 2;
const WAYS = ['copy', 'ours', 'batch', 'external', 'idle'];
const SIZE = 3840;

// ---- one run: in a child

async function child(way, rate, seconds) {
  const { Capture } = require('..');
  const buffers = Math.min(2048, Math.max(16, Math.ceil(rate / 10)));
  const capture = new Capture({
    sample: 's32', source: 'ramp', speed: rate / 100, buffers, maxBuffers: Math.min(4096, 4 * buffers),
    maxDepth: 1024, depth: Math.min(1024, Math.max(64, buffers)), checked: way === 'external',
  });
  let packets = 0;
  let wrong = 0;
  const look = (samples, pts) => {
    packets++;
    if (samples[0] !== ((2 * pts) | 0) || samples[959] !== ((2 * pts + 959) | 0)) wrong++;
  };
  if (way === 'copy') {
    capture.on('data', (packet) => {
      const { pts } = packet;
      const bytes = Buffer.from(packet.data);
      packet.release();
      look(new Int32Array(bytes.buffer, bytes.byteOffset, 960), pts);
    });
  } else if (way === 'batch') {
    const array = [];
    setInterval(() => {
      for (let n; (n = capture.readBatch(array, 64)) !== 0;) {
        for (let i = 0; i < n; i++) {
          look(array[i].samples, array[i].pts);
          array[i].release();
        }
      }
    }, 5);
  } else if (way !== 'idle') {
    capture.on('data', (packet) => {
      look(packet.samples, packet.pts);
      packet.release();
    });
  }
  const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
  await sleep(WARM_S * 1000);
  global.gc();
  const first = capture.stats();
  const before = process.memoryUsage();
  const start = performance.now();
  const cpu = process.cpuUsage();
  const from = packets;
  const points = [];
  for (let i = 0; i < seconds; i++) {
    await sleep(1000);
    points.push(process.memoryUsage());
  }
  const used = process.cpuUsage(cpu);
  const end = performance.now();
  const counted = packets - from;
  const after = process.memoryUsage();
  const last = capture.stats();
  const mean = (name) => points.reduce((sum, point) => sum + point[name], 0) / points.length;
  const most = (name) => Math.max(...points.map((point) => point[name]));
  fs.writeSync(3, JSON.stringify({
    way,
    rate,
    start,
    end,
    packets: counted,
    wrong,
    heapBefore: before.heapUsed,
    heapAfter: after.heapUsed,
    copied: way === 'copy' ? counted * SIZE : 0,
    cpu: (used.user + used.system) / 10 / (end - start),
    external: mean('external'),
    externalMost: most('external'),
    arrayBuffersMost: most('arrayBuffers'),
    rss: mean('rss'),
    rssMost: most('rss'),
    hitRate: (last.recycled - first.recycled) / (last.acquires - first.acquires),
    offered: last.packets - first.packets,
    dropped: last.dropsNewest - first.dropsNewest + last.reader.droppedOldest - first.reader.droppedOldest,
  }));
  process.exit(wrong === 0 ? 0 : 1);
}

// ---- all runs: in the parent

// What happened between two moments, in lines of --trace-gc-nvp.
function collections(text, from, to) {
  const list = [];
  for (const line of text.split('\n')) {
    const match = /^\[\d+:[^\]]*\]\s+(\d+) ms: pause=([\d.]+).* gc=(\w+).* total_size_after=(\d+).* allocated=(\d+)/.exec(line);
    if (match && Number(match[1]) > from && Number(match[1]) < to)
      list.push({ pause: Number(match[2]), kind: match[3], after: Number(match[4]), allocated: Number(match[5]) });
  }
  return list;
}

function run(way, rate, seconds) {
  return new Promise((resolve, reject) => {
    const process_ = spawn(process.execPath,
      ['--expose-gc', '--trace-gc-nvp', __filename, '--child', way, String(rate), String(seconds)],
      { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
    let trace = '';
    let said = '';
    process_.stdout.setEncoding('latin1').on('data', (text) => { trace += text; });
    process_.stdio[3].setEncoding('utf8').on('data', (text) => { said += text; });
    process_.on('error', reject);
    process_.on('close', (status) => {
      if (status !== 0) {
        reject(new Error(`${way} at ${rate}: ended with ${status}`));
        return;
      }
      const result = JSON.parse(said);
      // The trace counts from when V8 began, some ten milliseconds before or after.
      const list = collections(trace, result.start + 20, result.end);
      const tail = list.length === 0 ? result.heapAfter - result.heapBefore : Math.max(0, result.heapAfter - list.at(-1).after);
      const ms = result.end - result.start;
      const heap = list.reduce((sum, one) => sum + one.allocated, 0) + tail;
      resolve({
        ...result,
        heapRate: heap / 1024 / (ms / 1000),
        rateAll: (heap + result.copied) / 1024 / (ms / 1000),
        perPacket: result.packets ? heap / result.packets : 0,
        gcs: list.length / (ms / 60000),
        pause: list.reduce((sum, one) => sum + one.pause, 0) / (ms / 60000),
        pauseMost: Math.max(0, ...list.map((one) => one.pause)),
      });
    });
  });
}

const COLUMNS = [
  ['packets/s', (r) => r.packets / ((r.end - r.start) / 1000), 0],
  ['allocated KB/s', (r) => r.rateAll, 1],
  ['of it heap KB/s', (r) => r.heapRate, 1],
  ['heap B/packet', (r) => r.perPacket, 1],
  ['GCs/min', (r) => r.gcs, 1],
  ['pause ms/min', (r) => r.pause, 1],
  ['external MB', (r) => r.external / 1e6, 2],
  ['its most MB', (r) => r.externalMost / 1e6, 2],
  ['RSS MB', (r) => r.rss / 1e6, 1],
  ['its most MB', (r) => r.rssMost / 1e6, 1],
  ['CPU %', (r) => r.cpu, 2],
  ['hit rate', (r) => r.hitRate, 5],
  ['dropped', (r) => r.dropped, 0],
];

function summary(results) {
  return COLUMNS.map(([, value, digits]) => {
    const sorted = results.map(value).sort((a, b) => a - b);
    const median = sorted.length % 2 ? sorted[sorted.length >> 1]
      : (sorted[sorted.length / 2 - 1] + sorted[sorted.length / 2]) / 2;
    return { median, least: sorted[0], most: sorted.at(-1), text: `${median.toFixed(digits)} (${sorted[0].toFixed(digits)}..${sorted.at(-1).toFixed(digits)})` };
  });
}

async function main() {
  const options = { rounds: '3', rates: '100,1000,100000', seconds: '30,12,7', json: '' };
  for (let i = 2; i < process.argv.length; i += 2) {
    const name = process.argv[i].replace(/^--/, '');
    if (!Object.hasOwn(options, name) || process.argv[i + 1] === undefined) {
      console.error('usage: bench.js [--rounds N] [--rates N,...] [--seconds N,...] [--json FILE]');
      process.exit(2);
    }
    options[name] = process.argv[i + 1];
  }
  const rates = options.rates.split(',').map(Number);
  const seconds = options.seconds.split(',').map(Number);
  const all = [];
  for (let round = 0; round < Number(options.rounds); round++)
    for (let r = 0; r < rates.length; r++)
      for (let w = 0; w < WAYS.length; w++)
        all.push(await run(WAYS[(w + round) % WAYS.length], rates[r], seconds[r] ?? seconds.at(-1)));
  for (const rate of rates) {
    console.log(`\n${rate} packets/s, median (least..most) of ${options.rounds}`);
    const rows = WAYS.map((way) => summary(all.filter((one) => one.way === way && one.rate === rate)));
    const width = 26;
    console.log(' '.repeat(18) + WAYS.map((way) => way.padStart(width)).join(''));
    COLUMNS.forEach(([name], c) => {
      console.log(name.padEnd(18) + rows.map((row) => row[c].text.padStart(width)).join(''));
    });
  }
  if (options.json) fs.writeFileSync(options.json, `${JSON.stringify(all)}\n`);
}

if (process.argv[2] === '--child') child(process.argv[3], Number(process.argv[4]), Number(process.argv[5]));
else main();
