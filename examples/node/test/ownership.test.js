// SPDX-License-Identifier: MIT
//
// Who owns what: released, forgotten, taken away.
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { Worker, MessageChannel } = require('node:worker_threads');
const {
  Capture, Packet, Pool, gc, turn, collectUntil, manual, isRight,
} = require('./helpers.js');

test('a released packet throws at every use, and a second release does', () => {
  const { capture, write } = manual();
  write(1);
  const packet = capture.read();
  assert.equal(packet.released, false);
  packet.release();
  assert.equal(packet.released, true);
  for (const name of ['data', 'samples', 'pts', 'frames', 'flags', 'number', 'byteLength', 'silence', 'discontinuity', 'end', 'concealed'])
    assert.throws(() => packet[name], { code: 'ERR_RELEASED' }, name);
  for (const name of ['slice', 'copy', 'release', 'plane'])
    assert.throws(() => packet[name](0), { code: 'ERR_RELEASED' }, name);
  assert.equal(capture.stats().out, 0);
  capture.close();
});

test('Symbol.dispose releases once', { skip: !Symbol.dispose }, () => {
  const { capture, write } = manual();
  write(1);
  const packet = capture.read();
  packet[Symbol.dispose]();
  packet[Symbol.dispose]();
  assert.equal(capture.stats().out, 0);
  capture.close();
});

for (const copies of [false, true]) {
  const how = copies ? ' (copies)' : '';

  test(`30,000 packets with garbage collected every 100: the pool is hit, each bit is right${how}`, async () => {
    const { capture, write } = manual({ copies, buffers: 10 });
    const array = [];
    let wrong = 0;
    let seen = 0;
    for (let round = 0; round < 6000; round++) {
      write(5);
      const n = capture.readBatch(array, 10);
      for (let i = 0; i < n; i++) {
        if (!isRight(array[i])) wrong++;
        array[i].release();
      }
      seen += n;
      if (round % 20 === 0) {
        gc();
        await turn();
      }
    }
    const stats = capture.stats();
    assert.equal(seen, 30000);
    assert.equal(wrong, 0);
    assert.equal(stats.packets, 30000);
    assert.ok(stats.hitRate >= 0.999, `hit rate ${stats.hitRate}`);
    assert.equal(stats.misses, 0);
    assert.equal(stats.prepared, 10);
    assert.equal(stats.forgotten, 0);
    assert.equal(stats.out, 0);
    capture.close();
  });

  test(`forgotten packets come back, and are counted${how}`, async () => {
    const { capture, write } = manual({ copies, buffers: 8, maxBuffers: 8 });
    // Buffers that have been used before: their packets are idle objects.
    for (let i = 0; i < 8; i++) {
      write(1);
      capture.read().release();
    }
    for (let round = 1; round <= 5; round++) {
      (() => {
        write(8);
        for (let i = 0; i < 8; i++) assert.ok(isRight(capture.read()));
      })();
      assert.equal(capture.read(), null);
      await turn();
      assert.ok(await collectUntil(() => capture.stats().out === 0), JSON.stringify(capture.stats()));
      assert.equal(capture.stats().forgotten, 8 * round);
      assert.equal(capture.stats().inUse, 0);
    }
    write(3);
    const kept = [];
    capture.readBatch(kept, 3);
    assert.ok(kept.every(isRight));
    capture.releaseBatch(kept);
    capture.close();
  });

  test(`a forgotten slice comes back as well${how}`, async () => {
    const { capture, write } = manual({ copies });
    write(1);
    (() => {
      const packet = capture.read();
      packet.slice(1, 3);
      packet.release();
    })();
    await turn();
    assert.ok(await collectUntil(() => capture.stats().inUse === 0));
    assert.equal(capture.stats().forgotten, 1);
    capture.close();
  });

  test(`checked: views of a released packet have no bytes, and its object is not used again${how}`, () => {
    const { capture, write } = manual({ copies, checked: true, buffers: 2, maxBuffers: 2 });
    const old = [];
    for (let i = 0; i < 10; i++) {
      write(1);
      const packet = capture.read();
      const { data, samples } = packet;
      assert.ok(isRight(packet));
      assert.equal(packet.data.buffer, data.buffer);
      const part = packet.slice(2, 3);
      packet.release();
      assert.ok(isRight(part));
      const partData = part.data;
      part.release();
      assert.equal(data.length, 0);
      assert.equal(samples.length, 0);
      assert.equal(partData.length, 0);
      old.push(packet);
    }
    assert.equal(new Set(old).size, 10);
    for (const packet of old) assert.throws(() => packet.data, { code: 'ERR_RELEASED' });
    assert.equal(capture.stats().out, 0);
    capture.close();
  });
}

test('views outlive release, close, and the capture itself', async () => {
  const views = (() => {
    const { capture, write } = manual();
    write(4);
    const list = [];
    capture.readBatch(list, 4);
    const all = list.map((packet) => packet.data);
    capture.releaseBatch(list);
    capture.close();
    return all;
  })();
  for (let i = 0; i < 20; i++) {
    gc();
    await turn();
  }
  assert.equal(views.reduce((sum, view) => sum + view.length, 0), 4 * 384);
  assert.equal(views.reduce((sum, view) => sum + view[383], 0) >= 0, true);
  for (const view of views) view.fill(1);
});

test('a capture that is forgotten is closed, with whatever was out', async () => {
  const before = new Capture({ source: 'manual' });
  const refs = (() => {
    const list = [];
    for (let i = 0; i < 20; i++) {
      const { capture, write } = manual();
      write(3);
      capture.read();
      capture.read().release();
      capture.reader();
      list.push(new WeakRef(capture));
    }
    return list;
  })();
  await turn();
  const left = () => refs.filter((ref) => ref.deref() !== undefined).length;
  assert.ok(await collectUntil(() => left() === 0), `${left()} of ${refs.length}`);
  // Their places are free again: far more than can be there at a time.
  for (let i = 0; i < 4200; i++) {
    const capture = new Capture({ source: 'manual', buffers: 1, maxBuffers: 1 });
    capture.write(new Float32Array(960));
    const packet = capture.read();
    capture.close();
    packet.release();
  }
  before.close();
});

test('nothing is left of what was closed, or forgotten: no packet, no view, no memory', async () => {
  const refs = [];
  const add = (...objects) => { for (const one of objects) refs.push(new WeakRef(one)); };
  for (let i = 0; i < 10; i++) {
    await (async () => {
      const { capture, write } = manual({ copies: i % 2 === 1, checked: i % 4 === 3 });
      capture.on('data', (packet) => {
        add(packet, packet.data, packet.data.buffer);
        packet.release();
      });
      write(2);
      while (refs.length < (i + 1) * 12 - 6) await turn();
      const pool = new Pool({ copies: i % 2 === 1 });
      const [one, large] = [pool.acquire(5), pool.acquire(100000)];
      add(one, one.data, one.data.buffer, large, large.data, large.data.buffer);
      one.release();
      large.release();
      capture.off('data', capture.listeners('data')[0]);
      if (i % 3 !== 0) {
        capture.close();
        pool.close();
      }
    })();
  }
  const left = () => refs.filter((ref) => ref.deref() !== undefined).length;
  assert.ok(await collectUntil(() => left() === 0), `${left()} of ${refs.length}`);

});

test('a capture that has a listener goes on, though nobody holds it', async () => {
  let frames = 0;
  await new Promise((resolve) => {
    new Capture({ sample: 's32', frames: 9600, speed: 4, buffers: 32 })
      .on('data', (packet) => {
        gc();
        frames += packet.frames;
        packet.release();
      })
      .on('end', resolve);
  });
  assert.equal(frames, 9600);
});

test('a reader that is forgotten gives its queue up', async () => {
  const { capture, write } = manual({ buffers: 4, maxBuffers: 4 });
  (() => { capture.reader({ depth: 4 }); })();
  write(4);
  for (let i = 0; i < 4; i++) capture.read().release();
  assert.equal(capture.stats().inUse, 4); // waits for the other
  assert.ok(await collectUntil(() => capture.stats().inUse === 0));
  capture.close();
});

for (const copies of [false, true]) {
  test(`memory cannot be transferred; where it is taken anyway, views are made anew (copies: ${copies})`, async () => {
    const { native } = require('../memory.js');
    const { capture, write } = manual({ copies, buffers: 2, maxBuffers: 2 });
    write(2);
    const [a, b] = [capture.read(), capture.read()];
    const { buffer } = a.data;
    const { port1 } = new MessageChannel();
    const { byteLength } = buffer;
    // Older versions of Node ignore such an entry of a transfer list and clone it, newer ones throw.
    for (const transfer of [
      () => port1.postMessage(a.data, [buffer]),
      () => structuredClone(buffer, { transfer: [buffer] }),
      () => new Worker('', { eval: true, workerData: buffer, transferList: [buffer] }).terminate(),
    ]) {
      try {
        transfer();
      } catch (problem) {
        assert.equal(problem.name, 'DataCloneError');
      }
      assert.equal(buffer.byteLength, byteLength);
    }
    assert.ok(isRight(b));
    // A clone is a copy.
    assert.deepEqual(structuredClone(a.data), a.data);
    // As newer versions can do it, or an addon.
    try {
      if (buffer.transfer) buffer.transfer();
      else native.detach(buffer);
    } catch (problem) {
      assert.ok(copies && problem instanceof TypeError, problem); // not even that
    }
    assert.ok(buffer.byteLength === 0 || copies);
    if (buffer.byteLength !== 0) {
      assert.ok(isRight(a));
      assert.equal(a.data.buffer, buffer);
    } else if (copies) {
      // What was copied is gone with it; what comes from now on is right.
      assert.equal(a.data.length, 384);
    } else {
      assert.ok(isRight(a));
      assert.ok(isRight(b));
      assert.notEqual(a.data.buffer, buffer);
    }
    a.release();
    b.release();
    for (let i = 0; i < 6; i++) {
      write(1);
      const packet = capture.read();
      assert.ok(isRight(packet));
      packet.release();
    }
    port1.close();
    capture.close();
  });
}

test('packets and buffers are not made by hand', () => {
  const { capture, write } = manual();
  write(1);
  const packet = capture.read();
  assert.throws(() => new Packet(), { code: 'EINVAL' });
  assert.throws(() => new packet.constructor({}, {}, {}, 0), { code: 'EINVAL' });
  assert.throws(() => Object.create(Packet.prototype).data, TypeError);
  assert.throws(() => Packet.prototype.release.call({}), TypeError);
  assert.throws(() => Object.getOwnPropertyDescriptor(Packet.prototype, 'data').get.call(new Pool().acquire(1)), TypeError);
  packet.release();
  capture.close();
});
