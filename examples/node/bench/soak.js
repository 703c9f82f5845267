// SPDX-License-Identifier: MIT
//
// Captures for a long time and looks whether anything grows.
//
//     node --expose-gc soak.js [--seconds 3600] [--rate 100] [--every 10] [--mode events] [--json FILE]
//
// Each packet (480 frames, two channels of 32 bits) is compared with what the device wrote, sample by
// sample. Every `every` seconds all garbage is collected and memory is looked at; what is said of
// growth is the slope of the line through these points, without the first tenth of the time.
'use strict';

const fs = require('node:fs');
const { Capture } = require('..');

const options = { seconds: 3600, rate: 100, every: 10, mode: 'events', json: '' };
for (let i = 2; i < process.argv.length; i += 2) {
  const name = process.argv[i].replace(/^--/, '');
  if (!Object.hasOwn(options, name) || process.argv[i + 1] === undefined) {
    console.error('usage: soak.js [--seconds N] [--rate N] [--every N] [--mode events|iterate|read] [--json FILE]');
    process.exit(2);
  }
  options[name] = typeof options[name] === 'number' ? Number(process.argv[i + 1]) : process.argv[i + 1];
}
const { seconds, rate, every, mode } = options;

const NAMES = ['rss', 'heapUsed', 'external', 'arrayBuffers'];
const most = Math.ceil(seconds / every) + 2;
const times = new Float64Array(most);
const points = NAMES.map(() => new Float64Array(most));
let taken = 0;

// Bytes an hour, by least squares.
function slope(values) {
  const from = Math.floor(taken / 10);
  const n = taken - from;
  let sx = 0; let sy = 0; let sxx = 0; let sxy = 0;
  for (let i = from; i < taken; i++) {
    sx += times[i];
    sy += values[i];
    sxx += times[i] * times[i];
    sxy += times[i] * values[i];
  }
  return (n * sxy - sx * sy) / (n * sxx - sx * sx) * 3600;
}

function look(now) {
  if (global.gc) global.gc();
  if (taken === most) return;
  const memory = process.memoryUsage();
  times[taken] = now;
  NAMES.forEach((name, i) => { points[i][taken] = memory[name]; });
  taken++;
}

const buffers = Math.min(1000, Math.max(10, Math.ceil(rate / 4)));
const capture = new Capture({
  sample: 's32', source: 'ramp', speed: rate / 100, frames: Math.round(seconds * rate) * 480,
  buffers, maxBuffers: Math.min(4096, 16 * buffers), maxDepth: 1024, depth: Math.min(1024, 8 * buffers),
});
let packets = 0;
let wrong = 0;
let missing = 0;
let expected = 0;

function check(packet) {
  const { samples, pts, frames } = packet;
  missing += pts - expected;
  expected = pts + frames;
  const first = pts * 2;
  for (let i = 0; i < samples.length; i++) if (samples[i] !== ((first + i) | 0)) wrong++;
  packets++;
  packet.release();
}

const cpu = process.cpuUsage();
const started = process.hrtime.bigint();
const elapsed = () => Number(process.hrtime.bigint() - started) / 1e9;
const timer = setInterval(() => look(elapsed()), every * 1000);

function finish() {
  clearInterval(timer);
  look(elapsed());
  const stats = capture.stats();
  const used = process.cpuUsage(cpu);
  const growth = {};
  NAMES.forEach((name, i) => {
    const from = Math.floor(taken / 10);
    growth[name] = {
      start: points[i][from],
      end: points[i][taken - 1],
      least: Math.min(...points[i].subarray(from, taken)),
      most: Math.max(...points[i].subarray(from, taken)),
      perHour: Math.round(slope(points[i])),
    };
  });
  const report = {
    seconds: Math.round(elapsed()),
    rate,
    mode,
    node: process.version,
    packets,
    wrongSamples: wrong,
    missingFrames: missing,
    hitRate: stats.hitRate,
    misses: stats.misses,
    skippedFrames: stats.skippedFrames,
    forgotten: stats.forgotten,
    out: stats.out,
    buffers: stats.buffers,
    peakInUse: stats.peakInUse,
    cpuPercent: (used.user + used.system) / 1e4 / elapsed(),
    points: taken,
    growth,
  };
  console.log(JSON.stringify(report, null, 1));
  if (options.json) {
    const all = Array.from({ length: taken }, (_, p) => [times[p], ...points.map((list) => list[p])]);
    fs.writeFileSync(options.json, `${JSON.stringify({ ...report, columns: ['seconds', ...NAMES], all })}\n`);
  }
  capture.close();
  process.exitCode = wrong === 0 && packets > 0 ? 0 : 1;
}

if (mode === 'events') {
  capture.on('data', check);
  capture.on('end', finish);
} else if (mode === 'iterate') {
  (async () => {
    for await (const packet of capture) check(packet);
    finish();
  })();
} else {
  // By itself, in a rhythm of its own.
  const array = new Array(64);
  const reading = setInterval(() => {
    for (let n; (n = capture.readBatch(array)) !== 0;) for (let i = 0; i < n; i++) check(array[i]);
    if (!capture.ended) return;
    clearInterval(reading);
    finish();
  }, 5);
}
