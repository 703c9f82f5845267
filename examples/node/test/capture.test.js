// SPDX-License-Identifier: MIT
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { once } = require('node:events');
const {
  Capture, manual, isRight, turn, until,
} = require('./helpers.js');
const { native } = require('../memory.js');

for (const copies of [false, true]) {
  const how = copies ? ' (copies)' : '';

  test(`packets hold what the device wrote${how}`, () => {
    const { capture, write } = manual({ copies });
    assert.equal(capture.read(), null);
    assert.equal(write(3), 3);
    for (let i = 0; i < 3; i++) {
      const packet = capture.read();
      assert.equal(packet.pts, i * 48);
      assert.equal(packet.number, i);
      assert.equal(packet.frames, 48);
      assert.equal(packet.byteLength, 384);
      assert.equal(packet.data.length, 384);
      assert.equal(packet.flags, 0);
      assert.ok(packet.samples instanceof Int32Array);
      assert.ok(isRight(packet));
      assert.deepEqual(packet.data, new Uint8Array(packet.samples.buffer, packet.samples.byteOffset, 384));
      packet.release();
    }
    assert.equal(capture.read(), null);
    const stats = capture.stats();
    assert.equal(stats.packets, 3);
    assert.equal(stats.out, 0);
    assert.equal(stats.inUse, 0);
    assert.equal(stats.copies, copies);
    assert.equal(stats.copiedBytes, copies ? 3 * 384 : 0);
    capture.close();
  });

  test(`a packet that is kept keeps its bytes${how}`, () => {
    const { capture, write } = manual({ copies });
    write(1);
    const kept = capture.read();
    const { data } = kept;
    const before = Buffer.from(data);
    for (let i = 0; i < 100; i++) {
      write(1);
      capture.read().release();
    }
    assert.deepEqual(Buffer.from(data), before);
    assert.ok(isRight(kept));
    assert.equal(kept.data, data);
    kept.release();
    capture.close();
  });

  test(`in the long run no object is made${how}`, () => {
    const { capture, write } = manual({ copies, buffers: 4, maxBuffers: 4 });
    const packets = new Set();
    const views = new Set();
    const memory = new Set();
    for (let i = 0; i < 200; i++) {
      write(1);
      const packet = capture.read();
      packets.add(packet);
      views.add(packet.data).add(packet.samples);
      memory.add(packet.data.buffer);
      assert.equal(packet.data, packet.data);
      packet.release();
    }
    assert.ok(packets.size <= 4);
    assert.ok(views.size <= 8);
    assert.equal(memory.size, 1);
    capture.close();
  });

  test(`slices share memory and outlive their packet${how}`, () => {
    const { capture, write } = manual({ copies });
    write(1);
    const packet = capture.read();
    const whole = packet.slice();
    const part = packet.slice(10, 4);
    assert.equal(capture.stats().out, 3);
    assert.equal(capture.stats().inUse, 1);
    assert.equal(part.frames, 4);
    assert.equal(part.pts, packet.pts + 10);
    assert.ok(isRight(part));
    assert.equal(part.data.buffer, packet.data.buffer);
    packet.release();
    for (let i = 0; i < 50; i++) {
      write(1);
      capture.read().release();
    }
    assert.ok(isRight(part));
    assert.ok(isRight(whole));
    const again = part.slice(1);
    assert.equal(again.frames, 3);
    assert.ok(isRight(again));
    for (const bad of [[0, 0], [0, 49], [48, 1], [-1, 2], [0.5, 1], [NaN, 1], ['0', 1], [2 ** 32, 1]])
      assert.throws(() => whole.slice(...bad), { code: /EINVAL|ERANGE/ });
    for (const one of [whole, part, again]) one.release();
    assert.equal(capture.stats().inUse, 0);
    capture.close();
  });

  test(`readBatch takes many at a time, in order${how}`, () => {
    const { capture, write } = manual({ copies, buffers: 100, depth: 100, maxDepth: 100 });
    const array = new Array(10).fill(null);
    write(100);
    assert.equal(capture.readBatch(array, 3), 3);
    assert.equal(array[3], null);
    array.slice(0, 3).forEach((packet) => packet.release());
    const all = [];
    assert.equal(capture.readBatch(all), 0);
    assert.equal(capture.readBatch(all, 200), 97);
    all.forEach((packet, i) => {
      assert.equal(packet.number, i + 3);
      assert.ok(isRight(packet));
    });
    capture.releaseBatch(all);
    assert.equal(capture.stats().out, 0);
    assert.equal(capture.readBatch(array), 0);
    capture.close();
  });
}

test('the device is bit-perfect in each sample type', async () => {
  const types = {
    s16: (n) => (n << 16) >> 16, s24_32: (n) => n & 0xffffff, s32: (n) => n | 0, f32: (n) => n & 0xffffff,
    f64: (n) => n,
  };
  for (const planar of [false, true]) {
    for (const [sample, value] of Object.entries(types)) {
      const capture = new Capture({
        sample, planar, channels: 3, rate: 48000, speed: 20, frames: 24000, packetFrames: 100, periodFrames: 256,
        buffers: 512, maxDepth: 512, depth: 512,
      });
      let frames = 0;
      for await (const packet of capture) {
        assert.equal(packet.pts, frames);
        if (planar) {
          for (let c = 0; c < 3; c++) {
            const plane = packet.plane(c);
            assert.equal(plane.length, packet.frames);
            for (let i = 0; i < plane.length; i++)
              assert.equal(plane[i], value((frames + i) * 3 + c));
          }
          assert.throws(() => packet.plane(3), RangeError);
        } else {
          const { samples } = packet;
          for (let i = 0; i < samples.length; i++) assert.equal(samples[i], value(frames * 3 + i));
        }
        frames += packet.frames;
        packet.release();
      }
      assert.equal(frames, 24000, `${sample}, planar ${planar}: ${JSON.stringify(capture.stats())}`);
      capture.close();
    }
  }
});

test('24 bits in 3 bytes have bytes, but no samples', async () => {
  const capture = new Capture({ sample: 's24', channels: 1, frames: 480 });
  const packet = await capture.next();
  assert.equal(packet.samples, undefined);
  assert.equal(packet.data.length, packet.frames * 3);
  for (let i = 0; i < packet.frames; i++)
    assert.equal(packet.data[3 * i] | packet.data[3 * i + 1] << 8 | packet.data[3 * i + 2] << 16, i);
  packet.release();
  capture.close();
});

test('a tone is loud and silence is not', async () => {
  for (const [source, loud] of [['tone', true], ['silence', false]]) {
    const capture = new Capture({ source, sample: 'f32' });
    const packet = await capture.next();
    assert.equal(packet.samples.some((value) => Math.abs(value) > 0.2), loud);
    assert.ok(packet.samples.every((value) => Math.abs(value) <= 0.5));
    packet.release();
    capture.close();
  }
});

test('events: data, then end, once', async () => {
  const capture = new Capture({ sample: 's32', frames: 4800, speed: 4, buffers: 64 });
  let frames = 0;
  let ends = 0;
  capture.on('end', () => { ends++; });
  capture.on('data', (packet) => {
    assert.ok(isRight(packet));
    frames += packet.frames;
    packet.release();
  });
  await once(capture, 'end');
  await turn();
  assert.equal(frames, 4800);
  assert.equal(ends, 1);
  assert.equal(capture.ended, true);
  assert.equal(await capture.next(), null);
  assert.equal(capture.read(), null);
  capture.close();
});

test('many packets are one wake-up', async () => {
  const { capture, write } = manual({ buffers: 500, depth: 500, maxDepth: 500 });
  let turns = 0;
  let packets = 0;
  let last = -1;
  let now = 0;
  capture.on('data', (packet) => {
    if (last !== now) turns++;
    last = now;
    packets++;
    packet.release();
  });
  const tick = setInterval(() => { now++; }, 0);
  write(500);
  assert.ok(await until(() => packets === 500));
  clearInterval(tick);
  assert.ok(turns <= 10, `${turns} turns`);
  capture.close();
});

test('who waits is called once', async () => {
  let calls = 0;
  const settings = { rate: 48000, channels: 1, sample: 1, device: 0, speed: 1, packetFrames: 8, wakeMs: 1 };
  const id = native.open(settings, (reader) => {
    assert.equal(reader, 0);
    calls++;
  });
  assert.equal(native.openReader(id, 8, 0), 0);
  native.hold(id, true);
  native.write(id, new Uint8Array(16), -1, -1, 0);
  await new Promise((resolve) => { setTimeout(resolve, 30); });
  assert.equal(calls, 0);
  for (let i = 1; i < 4; i++) {
    native.arm(id, 0);
    assert.ok(await until(() => calls === i));
    await new Promise((resolve) => { setTimeout(resolve, 30); });
    assert.equal(calls, i);
  }
  native.close(id);
});

test('pause and resume; what waits meanwhile is not lost', async () => {
  const { capture, write } = manual();
  const seen = [];
  capture.on('data', (packet) => {
    seen.push(packet.number);
    packet.release();
    if (packet.released && seen.length === 2) capture.pause();
  });
  write(5);
  assert.ok(await until(() => seen.length >= 2));
  await new Promise((resolve) => { setTimeout(resolve, 30); });
  assert.deepEqual(seen, [0, 1]);
  capture.resume();
  assert.ok(await until(() => seen.length === 5));
  assert.deepEqual(seen, [0, 1, 2, 3, 4]);
  capture.close();
});

test('next() called often is answered in order', async () => {
  const { capture, write } = manual();
  const asked = [capture.next(), capture.next(), capture.next()];
  write(2);
  capture.end();
  const [a, b, c] = await Promise.all(asked);
  assert.deepEqual([a.number, b.number, c], [0, 1, null]);
  a.release();
  b.release();
  capture.close();
});

test('for await ends with the stream, and with break it does not end the stream', async () => {
  const { capture, write } = manual({ autoRelease: true });
  write(4);
  let seen = 0;
  for await (const packet of capture) {
    assert.ok(isRight(packet));
    if (++seen === 2) break;
  }
  assert.equal(capture.stats().out, 0);
  capture.end();
  for await (const packet of capture) {
    assert.ok(isRight(packet));
    seen++;
    if (seen === 3) packet.release(); // by itself is fine, too
  }
  assert.equal(seen, 4);
  assert.equal(capture.stats().out, 0);
  capture.close();
});

test('batches give what is there', async () => {
  const { capture, write } = manual({ autoRelease: true });
  write(9);
  capture.end();
  const sizes = [];
  for await (const batch of capture.batches(4)) {
    sizes.push(batch.length);
    assert.ok(batch.every(isRight));
  }
  assert.deepEqual(sizes, [4, 4, 1]);
  assert.equal(capture.stats().out, 0);
  capture.close();
});

test('a gap is told before the packet behind it', async () => {
  const { capture, write, skip } = manual({ autoRelease: true });
  const seen = [];
  capture.on('gap', (gap) => seen.push(gap));
  capture.on('data', (packet) => seen.push(packet.number));
  write(2);
  skip(96);
  write(1);
  assert.ok(await until(() => seen.length === 4));
  assert.deepEqual(seen, [0, 1, { pts: 192, expected: 96, lost: 96, number: 2 }, 2]);
  assert.equal(capture.stats().gaps, 1);
  assert.equal(capture.stats().lostFrames, 96);
  capture.close();
});

test('what is done when all buffers are out', () => {
  for (const [full, expected] of [
    ['drop-newest', [0, 1, 2, 3]], ['drop-oldest', [2, 3, 4, 5]], ['overwrite', [4, 5]],
  ]) {
    const { capture, write } = manual({ full, buffers: 4, maxBuffers: 4, wakeMs: 1000 });
    write(6);
    const got = [];
    for (let packet; (packet = capture.read()) !== null; packet.release()) {
      got.push(packet.number);
      assert.ok(isRight(packet));
    }
    assert.deepEqual(got, expected, full); // what was never published has no number
    const stats = capture.stats();
    assert.equal(stats.dropsNewest, full === 'drop-newest' ? 2 : 0);
    assert.equal(stats.dropsOldest, full === 'drop-oldest' ? 2 : 0);
    assert.equal(stats.overwritten, full === 'overwrite' ? 4 : 0);
    capture.close();
  }
});

test('a program that holds all buffers gets nothing new, and its own stay right', () => {
  for (const full of ['drop-newest', 'drop-oldest', 'overwrite']) {
    const { capture, write } = manual({ full, buffers: 4, maxBuffers: 4, wakeMs: 1000 });
    write(4);
    const held = [];
    assert.equal(capture.readBatch(held, 10), 4);
    write(10);
    assert.equal(capture.read(), null);
    assert.ok(held.every(isRight));
    held[2].release();
    write(1);
    const packet = capture.read();
    assert.ok(packet.discontinuity);
    assert.ok(isRight(packet));
    capture.releaseBatch([packet, held[0], held[1], held[3]]);
    capture.close();
  }
});

test('each reader has a queue and a policy of its own, over one memory', () => {
  const { capture, write } = manual();
  const slow = capture.reader({ depth: 2, lag: 'drop-oldest' });
  const newest = capture.reader({ depth: 2, lag: 'skip' });
  const hold = capture.reader({ depth: 2, lag: 'hold' });
  write(6);
  const numbers = (reader) => {
    const got = [];
    for (let packet; (packet = reader.read()) !== null; packet.release()) got.push(packet.number);
    return got;
  };
  const one = capture.read();
  const buffer = one.data.buffer;
  assert.equal(one.number, 0);
  one.release();
  assert.deepEqual(numbers(slow), [4, 5]);
  assert.deepEqual(numbers(newest), [5]);
  assert.deepEqual(numbers(hold), [0, 1]);
  assert.deepEqual(numbers(capture), [1, 2, 3, 4, 5]);
  assert.equal(slow.readerStats().droppedOldest, 4);
  assert.equal(hold.readerStats().refused, 4);
  write(1);
  const [a, b] = [capture.read(), slow.read()];
  assert.notEqual(a, b);
  assert.equal(a.data.buffer, buffer);
  assert.equal(a.data.byteOffset, b.data.byteOffset);
  a.release();
  assert.ok(isRight(b));
  assert.throws(() => a.data, { code: 'ERR_RELEASED' });
  b.release();
  slow.close();
  slow.close();
  assert.equal(slow.closed, true);
  write(1);
  assert.throws(() => slow.read(), { code: 'ERR_CLOSED' });
  newest.read().release();
  capture.close();
  assert.equal(newest.closed, true);
  assert.throws(() => newest.read(), { code: 'ERR_CLOSED' });
});

test('a loop that never yields gets all packets, and no finalizer is needed', () => {
  const capture = new Capture({ sample: 's32', speed: 20, frames: 480 * 400, buffers: 512, maxDepth: 512 });
  let packets = 0;
  const end = Date.now() + 60000;
  while (!capture.ended && Date.now() < end) {
    const packet = capture.read();
    if (packet === null) continue;
    assert.equal(packet.number, packets++);
    assert.ok(isRight(packet));
    packet.release();
  }
  assert.equal(packets, 400);
  assert.equal(capture.stats().out, 0);
  capture.close();
});

test('when reading fails, an event says so, or a promise is rejected; later it goes on', async () => {
  const { read } = native;
  const { capture, write } = manual({ autoRelease: true });
  const problem = new Error('no memory');
  try {
    native.read = () => { throw problem; };
    await assert.rejects(capture.next(), problem);
    assert.throws(() => capture.read(), problem);
    native.read = read;
    const waiting = capture.next();
    native.read = () => { throw problem; };
    write(1);
    await assert.rejects(waiting, problem);
    const errors = [];
    let seen = 0;
    capture.on('error', (error) => errors.push(error));
    capture.on('data', () => { seen++; });
    assert.ok(await until(() => errors.length === 1));
    native.read = read;
    write(2);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    assert.equal(seen, 0);
    capture.resume();
    assert.ok(await until(() => seen === 3));
    assert.deepEqual(errors, [problem]);
  } finally {
    native.read = read;
  }
  capture.close();
});

test('close while somebody waits, and with packets out', async () => {
  const { capture, write } = manual();
  const waiting = capture.next();
  const closed = once(capture, 'close');
  capture.close();
  assert.equal(await waiting, null);
  await closed;
  capture.close();

  const other = manual();
  other.write(3);
  const held = other.capture.read();
  const part = held.slice(1, 2);
  other.capture.close();
  assert.ok(isRight(held));
  held.release();
  assert.ok(isRight(part));
  const more = part.slice(1);
  part.release();
  assert.ok(isRight(more));
  more.release();
  assert.throws(() => other.capture.read(), { code: 'ERR_CLOSED' });
  assert.throws(() => other.capture.write(new Int32Array(96)), { code: 'ERR_CLOSED' });
  assert.throws(() => other.capture.reader(), { code: 'ERR_CLOSED' });
  assert.throws(() => other.capture.start(), { code: 'ERR_CLOSED' });
  assert.equal(await other.capture.next(), null);
  assert.equal(other.capture.stats().packets, 3);
  void write;
});

test('close of the capture is one of all its readers, whatever they do', async () => {
  const { capture, write } = manual();
  const readers = [capture, ...Array.from({ length: 3 }, () => capture.reader())];
  const closed = [];
  readers.forEach((reader, i) => reader.on('close', () => closed.push(i)));
  write(3);
  const packet = readers[2].read();
  let paused = false; // with two that were fetched
  readers[3].on('data', (one) => {
    one.release();
    readers[3].pause();
    paused = true;
  });
  assert.ok(await until(() => paused));
  const all = [];
  capture.releaseBatch(all, readers[1].readBatch(all, 64));
  const waits = readers[1].next();
  await turn();
  readers[0].close();
  assert.ok(readers.every((reader) => reader.closed));
  await turn();
  assert.deepEqual(closed.sort(), [0, 1, 2, 3]);
  assert.equal(readers[3].readerStats().offered, 3);
  assert.equal((await waits), null);
  assert.equal(capture.stats().out, 1); // those that were fetched, and not handed out, are not
  packet.release();
  assert.throws(() => readers[3].read(), { code: 'ERR_CLOSED' });
});

test('close in a handler of its own', async () => {
  const { capture, write } = manual();
  let seen = 0;
  capture.on('data', (packet) => {
    packet.release();
    if (++seen === 2) capture.close();
  });
  write(10);
  await once(capture, 'close');
  await turn();
  assert.equal(seen, 2);
  assert.equal(capture.stats().packets, 10);
  assert.equal(capture.stats().out, 0);
});

test('many captures at a time', async () => {
  const all = Array.from({ length: 24 }, (_, i) => new Capture({ sample: 's32', channels: 1 + i % 3, frames: 4800, speed: 10, buffers: 64 }));
  const frames = await Promise.all(all.map(async (capture) => {
    let n = 0;
    for await (const packet of capture) {
      assert.ok(isRight(packet));
      n += packet.frames;
      packet.release();
    }
    return n;
  }));
  assert.deepEqual(frames, all.map(() => 4800));
  for (const capture of all) capture.close();
});

test('lengths and times that a device does not get right', () => {
  const { capture, write } = manual();
  assert.throws(() => capture.write(new Uint8Array(7)), { code: 'EBADMSG' });
  assert.equal(capture.write(new Uint8Array(0)), 0);
  assert.throws(() => capture.write('samples'), { code: 'EINVAL' });
  assert.throws(() => capture.write(new Int32Array(2), { pts: NaN }), { code: 'EINVAL' });
  assert.throws(() => capture.write(new Int32Array(2), { sequence: 'x' }), { code: 'EINVAL' });
  write(2);
  assert.equal(capture.write(new Int32Array(96), { pts: 0 }), 0); // had come before
  assert.equal(capture.stats().duplicates + capture.stats().backwards, 1);
  assert.equal(capture.write(new Int32Array(20)), 0);
  capture.flush();
  const lengths = [];
  for (let packet; (packet = capture.read()) !== null; packet.release()) lengths.push(packet.frames);
  assert.deepEqual(lengths, [48, 48, 10]);
  capture.end();
  assert.throws(() => capture.write(new Int32Array(96)), { code: 'EINVAL' });
  const device = new Capture({ source: 'silence' });
  assert.throws(() => device.write(new Float32Array(2)), { code: 'EINVAL' });
  assert.throws(() => device.end(), { code: 'EINVAL' });
  device.close();
  capture.close();
});
