// SPDX-License-Identifier: MIT
//
// An hour's packets in a minute (ZCB_LEAK_SECONDS: another time), of each way to get them: what is in
// use must not grow. The first fifth is for warming up.
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const {
  Capture, Pool, gc, turn, isRight,
} = require('./helpers.js');

const SECONDS = Number(process.env.ZCB_LEAK_SECONDS ?? 60);
const MIB = 1 << 20;

test(`nothing grows in ${SECONDS} s`, { timeout: SECONDS * 10000 + 60000 }, async () => {
  const options = { sample: 's32', speed: 15, buffers: 200, maxBuffers: 1000, depth: 1000, maxDepth: 1000 };
  const capture = new Capture(options);
  const checked = new Capture({ ...options, speed: 2, checked: true, autoRelease: true });
  const copying = new Capture({ ...options, speed: 4, copies: true, autoRelease: true });
  const second = capture.reader({ depth: 500 });
  const pool = new Pool({ tiers: [{ size: 4096, max: 64 }] });
  let packets = 0;
  let wrong = 0;
  let running = true;
  const look = (packet) => {
    packets++;
    if (!isRight(packet)) wrong++;
  };
  capture.on('data', (packet) => {
    look(packet);
    if (packets % 100 === 0) {
      packet.slice(1, 2); // forgotten
      pool.acquire(packets % 8000);
    }
    packet.release();
  });
  checked.on('data', look);
  const iterating = (async () => { for await (const packet of copying) look(packet); })();
  const batching = (async () => {
    for await (const batch of second.batches(32)) {
      batch.forEach((packet) => { look(packet); packet.release(); });
      await new Promise((resolve) => { setTimeout(resolve, 10); });
    }
  })();
  // Captures that come and go.
  const coming = (async () => {
    while (running) {
      const short = new Capture({ speed: 20, frames: 4800, buffers: 16 });
      for await (const packet of short) packet.release();
      short.close();
      new Capture({ source: 'manual', buffers: 2 }); // forgotten
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
  })();

  const points = [];
  const end = Date.now() + SECONDS * 1000;
  while (Date.now() < end) {
    await new Promise((resolve) => { setTimeout(resolve, Math.max(50, SECONDS * 10)); });
    for (let i = 0; i < 3; i++) {
      gc();
      await turn();
    }
    points.push(process.memoryUsage());
  }
  running = false;
  await coming;
  const stats = capture.stats();
  for (const one of [capture, checked, copying]) one.close();
  await Promise.all([iterating, batching]);
  pool.close();

  const warm = points.slice(Math.ceil(points.length / 5));
  const third = Math.floor(warm.length / 3);
  const least = (list, name) => Math.min(...list.map((point) => point[name]));
  const growth = {};
  for (const name of ['heapUsed', 'external', 'arrayBuffers', 'rss'])
    growth[name] = least(warm.slice(-third), name) - least(warm.slice(0, third), name);
  console.log(JSON.stringify({ packets, growth, rss: points.at(-1).rss, hitRate: stats.hitRate, forgotten: stats.forgotten }));
  assert.equal(wrong, 0);
  assert.ok(packets > SECONDS * 100, `${packets} packets`);
  assert.ok(stats.forgotten > 0);
  assert.ok(growth.heapUsed < 1 * MIB, JSON.stringify(growth));
  assert.ok(growth.external < 2 * MIB, JSON.stringify(growth));
  assert.ok(growth.arrayBuffers < 2 * MIB, JSON.stringify(growth));
  assert.ok(growth.rss < 16 * MIB, JSON.stringify(growth));
});
