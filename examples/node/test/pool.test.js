// SPDX-License-Identifier: MIT
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { Pool, PoolBuffer, gc, turn, collectUntil } = require('./helpers.js');

const SIZES = { tiers: [{ size: 4096 }, { size: 16384 }, { size: 65536 }] };

for (const copies of [false, true]) {
  const how = copies ? ' (copies)' : '';
  const make = (options = {}) => new Pool({ ...SIZES, copies, ...options });

  test(`the smallest tier that has room${how}`, () => {
    const pool = make();
    for (const [length, capacity] of [
      [0, 4096], [1, 4096], [100, 4096], [4096, 4096], [4097, 16384], [16384, 16384], [16385, 65536], [65536, 65536],
    ]) {
      const buffer = pool.acquire(length);
      assert.equal(buffer.capacity, capacity, `${length}`);
      assert.equal(buffer.length, length);
      assert.equal(buffer.data.length, length);
      assert.equal(buffer.whole.length, capacity);
      buffer.release();
    }
    pool.close();
  });

  test(`above the largest tier: of the size that was asked for, and gone when released${how}`, async () => {
    const pool = make();
    const gone = [];
    const use = (i) => {
      const buffer = pool.acquire(100000 + i);
      assert.equal(buffer.length, 100000 + i);
      assert.equal(buffer.data.length, 100000 + i);
      assert.ok(buffer.capacity >= 100000 + i && buffer.capacity < 105000);
      buffer.data[100000 + i - 1] = 7;
      gone.push(new WeakRef(buffer.data.buffer));
      buffer.release();
    };
    for (let i = 0; i < 20; i++) use(i);
    await turn();
    assert.ok(await collectUntil(() => gone.every((ref) => ref.deref() === undefined)));
    const stats = pool.stats();
    assert.equal(stats.oversize, 20);
    assert.equal(stats.drops, 20);
    assert.equal(stats.live, 0);
    pool.close();
    const none = make({ oversize: false });
    assert.equal(none.acquire(65537), null);
    none.close();
  });

  test(`buffers are writable, apart from each other, and keep their bytes${how}`, () => {
    const pool = make();
    const all = Array.from({ length: 50 }, () => pool.acquire(4000));
    all.forEach((buffer, i) => buffer.data.fill(i));
    assert.equal(new Set(all.map((buffer) => buffer.data.byteOffset)).size, 50);
    all.forEach((buffer, i) => assert.ok(buffer.data.every((byte) => byte === i)));
    all.forEach((buffer) => buffer.release());
    assert.equal(pool.stats().live, 0);
    pool.close();
  });

  test(`a released buffer is used again, as the same objects${how}`, () => {
    const pool = make();
    const first = pool.acquire(1000);
    const { data } = first;
    first.release();
    const second = pool.acquire(1000);
    assert.equal(second, first);
    assert.equal(second.data, data);
    second.release();
    const shorter = pool.acquire(10);
    assert.equal(shorter, first);
    assert.equal(shorter.data.length, 10);
    assert.equal(shorter.data.byteOffset, data.byteOffset);
    shorter.release();
    assert.equal(pool.stats().misses, 1);
    assert.equal(pool.stats().returns, 3);
    pool.close();
  });

  test(`cleared on release, where that is asked for${how}`, () => {
    for (const clear of [true, false]) {
      const pool = make({ clear });
      const buffer = pool.acquire(4000);
      buffer.whole.fill(9);
      const { data } = buffer;
      buffer.release();
      assert.equal(data.every((byte) => byte === (clear ? 0 : 9)), true);
      pool.close();
    }
  });

  test(`10,000 pairs: one miss, more than 99 % hits${how}`, () => {
    const pool = make();
    for (let i = 0; i < 10000; i++) pool.acquire(3840).release();
    const stats = pool.stats();
    assert.equal(stats.acquires, 10000);
    assert.equal(stats.misses, 1);
    assert.ok(stats.hitRate > 0.99);
    assert.equal(stats.live, 0);
    pool.close();
  });

  test(`under load, with garbage collected: hits, and the limit holds${how}`, async () => {
    const pool = make({ tiers: [{ size: 4096, max: 32 }], oversize: false });
    const held = [];
    let most = 0;
    let seed = 1;
    for (let i = 0; i < 30000; i++) {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      const buffer = seed % 2 ? pool.acquire(seed % 4097) : null;
      if (buffer !== null) {
        held.push(buffer);
        if (buffer.length !== 0) buffer.data[0] = i;
      } else if (held.length !== 0) {
        held.splice(seed % held.length, 1)[0].release();
      }
      most = Math.max(most, held.length);
      if (i % 1000 === 0) {
        gc();
        await turn();
      }
    }
    assert.ok(most <= 32);
    const stats = pool.stats();
    assert.ok(stats.hitRate > 0.99, `${stats.hitRate}`);
    assert.ok(stats.peakLive <= 32);
    assert.equal(stats.live, held.length);
    assert.equal(stats.forgotten, 0);
    held.forEach((buffer) => buffer.release());
    pool.close();
  });

  test(`at the limit there is null; after a release there is one${how}`, () => {
    const pool = make({ tiers: [{ size: 64, max: 3 }], oversize: false });
    const all = [pool.acquire(1), pool.acquire(64), pool.acquire(2)];
    assert.equal(pool.acquire(1), null);
    assert.equal(pool.acquire(65), null);
    all[1].release();
    const again = pool.acquire(5);
    assert.equal(again, all[1]);
    assert.equal(pool.acquire(1), null);
    assert.ok(pool.stats().refusals >= 3);
    for (const buffer of [all[0], all[2], again]) buffer.release();
    pool.close();
    const grows = make({ tiers: [{ size: 64, max: 1 }], grow: true });
    const two = [grows.acquire(1), grows.acquire(1)];
    assert.ok(two[1] !== null);
    assert.equal(grows.stats().fallbacks, 1);
    two.forEach((buffer) => buffer.release());
    grows.close();
    const bytes = make({ maxBytes: 1 << 20, tiers: [{ size: 65536 }] });
    const held = [];
    for (let buffer; (buffer = bytes.acquire(65536)) !== null;) held.push(buffer);
    assert.ok(held.length >= 8 && held.length <= 16, `${held.length}`);
    held.forEach((buffer) => buffer.release());
    bytes.close();
  });

  test(`warm: buffers, objects and views are there beforehand${how}`, () => {
    const pool = make();
    assert.equal(pool.warm(3840, 20), 20);
    const before = pool.stats().misses;
    const objects = new Set();
    for (let round = 0; round < 10; round++) {
      const all = Array.from({ length: 20 }, () => pool.acquire(3840));
      all.forEach((buffer) => objects.add(buffer));
      all.forEach((buffer) => buffer.release());
    }
    assert.equal(pool.stats().misses, before);
    assert.equal(objects.size, 20);
    pool.close();
    const small = make({ tiers: [{ size: 64, max: 3 }], oversize: false });
    assert.equal(small.warm(10, 20), 3);
    assert.equal(small.stats().live, 0);
    small.close();
    const ready = make({ tiers: [{ size: 4096, prealloc: 8 }] });
    ready.acquire(1).release();
    assert.equal(ready.stats().misses, 0);
    ready.close();
  });

  test(`forgotten buffers come back, and are counted${how}`, async () => {
    const pool = make({ tiers: [{ size: 4096, max: 8 }], oversize: false });
    for (let round = 1; round <= 3; round++) {
      (() => { for (let i = 0; i < 8; i++) pool.acquire(100).data.fill(1); })();
      await turn();
      assert.ok(await collectUntil(() => pool.stats().live === 0));
      assert.equal(pool.stats().forgotten, 8 * round);
    }
    pool.close();
  });

  test(`forgotten buffers above the largest tier: nothing keeps their memory${how}`, async () => {
    const pool = make({ tiers: [{ size: 4096 }] });
    const gone = [];
    (() => {
      for (let i = 0; i < 8; i++) {
        const { data } = pool.acquire(100000);
        gone.push(new WeakRef(data.fill(1).buffer));
      }
    })();
    await turn();
    assert.ok(await collectUntil(() => gone.every((ref) => ref.deref() === undefined)));
    assert.equal(pool.stats().forgotten, 8);
    pool.close();
  });

  test(`trim gives memory back; what is out stays${how}`, async () => {
    const pool = make({ tiers: [{ size: 65536 }] });
    const kept = pool.acquire(65536);
    kept.data.fill(3);
    const all = Array.from({ length: 100 }, () => pool.acquire(65536));
    all.forEach((buffer) => buffer.data.fill(1));
    const { charged } = pool.stats();
    const gone = [...new Set(all.map((buffer) => buffer.data.buffer))]
      .filter((memory) => memory !== kept.data.buffer).map((memory) => new WeakRef(memory));
    assert.ok(gone.length >= 2);
    all.splice(0).forEach((buffer) => buffer.release());
    assert.ok(pool.trim() > 0);
    await turn();
    assert.ok(await collectUntil(() => gone.every((ref) => ref.deref() === undefined)));
    assert.ok(pool.stats().charged < charged);
    assert.ok(kept.data.every((byte) => byte === 3));
    const again = Array.from({ length: 100 }, () => pool.acquire(65536));
    again.forEach((buffer, i) => buffer.data.fill(i));
    again.forEach((buffer, i) => assert.equal(buffer.data[65535], i));
    again.forEach((buffer) => buffer.release());
    kept.release();
    pool.close();
  });

  test(`checked: a released buffer's views have no bytes${how}`, () => {
    const pool = make({ checked: true, clear: true });
    const first = pool.acquire(100);
    const { data } = first;
    data.fill(5);
    assert.equal(first.data[99], 5);
    first.release();
    assert.equal(data.length, 0);
    const second = pool.acquire(100);
    assert.notEqual(second, first);
    assert.throws(() => first.data, { code: 'ERR_RELEASED' });
    assert.throws(() => first.release(), { code: 'ERR_RELEASED' });
    second.release();
    pool.close();
  });

  test(`after close: no more buffers; what is out can be used and released${how}`, () => {
    const pool = make();
    const buffer = pool.acquire(50);
    const large = pool.acquire(100000);
    pool.close();
    pool.close();
    assert.throws(() => pool.acquire(1), { code: 'ERR_CLOSED' });
    assert.throws(() => pool.trim(), { code: 'ERR_CLOSED' });
    assert.equal(pool.stats().acquires, 2);
    buffer.data.fill(1);
    assert.equal(buffer.data[49], 1);
    buffer.release();
    large.data.fill(2);
    large.release();
    assert.throws(() => buffer.data, { code: 'ERR_RELEASED' });
  });
}

test('what is no buffer of this pool is not taken back', () => {
  const pool = new Pool();
  const other = new Pool();
  const buffer = pool.acquire(10);
  for (const bad of [undefined, null, 1, 'x', {}, [], new Uint8Array(4), Buffer.alloc(3), () => 0, Object.create(PoolBuffer.prototype)])
    assert.throws(() => pool.release(bad), { code: 'EINVAL' });
  assert.throws(() => other.release(buffer), { code: 'EINVAL' });
  pool.release(buffer);
  assert.throws(() => pool.release(buffer), { code: 'ERR_RELEASED' });
  assert.equal(pool.stats().live, 0);
  assert.equal(pool.stats().returns, 1);
  for (const bad of [-1, 1.5, NaN, Infinity, '10', null, undefined, {}, 2 ** 53])
    assert.throws(() => pool.acquire(bad), { code: 'EINVAL' }, String(bad));
  assert.throws(() => pool.acquire(2 ** 52), { code: /ENOMEM|EOVERFLOW|EINVAL/ });
  pool.close();
  other.close();
});

test('options that make no sense are refused', () => {
  for (const bad of [
    null, 5, { tiers: [] }, { tiers: {} }, { tiers: [{ size: 100 }] }, { tiers: [{ size: 4096 }, { size: 64 }] },
    { tiers: [null] }, { tiers: new Array(9).fill({ size: 64 }) }, { tiers: [{ size: 64, max: -1 }] },
    { tiers: [{ size: 64, max: 1, prealloc: 2 }] }, { maxBytes: 1.5 }, { copies: 1 }, { clear: 'yes' },
  ])
    assert.throws(() => new Pool(bad), { code: /EINVAL|ENOBUFS/ }, JSON.stringify(bad));
});
