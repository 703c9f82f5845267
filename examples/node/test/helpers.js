// SPDX-License-Identifier: MIT
// What the tests share: a garbage collector that comes when it is called, and a device of their own.
'use strict';

const v8 = require('node:v8');
const vm = require('node:vm');
const zcbuf = require('..');

v8.setFlagsFromString('--expose-gc');
const gc = vm.runInNewContext('gc');

const turn = () => new Promise((resolve) => { setImmediate(resolve); });

// Until `done()`, while garbage is collected and finalizers get their turn. What done() looks at by a
// WeakRef stays until the end of that turn, so none is collected in it.
async function collectUntil(done, tries = 100) {
  for (let i = 0; i < tries; i++) {
    gc();
    await turn();
    if (done()) return true;
    await turn();
  }
  return false;
}

async function until(done, ms = 20000) {
  const end = Date.now() + ms;
  while (!done() && Date.now() < end) await new Promise((resolve) => { setTimeout(resolve, 2); });
  return done();
}

// Sample n of a stream: of a ramp, and of what manual() writes, in which all bytes change.
const ramp = (n) => n | 0;
const mixed = (n) => Math.imul(n + 1, 0x9e3779b1);

// A capture whose device is the test.
function manual(options = {}) {
  const capture = new zcbuf.Capture({
    source: 'manual', sample: 's32', channels: 2, packetFrames: 48, depth: 64, ...options,
  });
  const { channels } = capture.format;
  let next = 0;
  const write = (packets = 1, stamp = {}) => {
    let made = 0;
    for (let p = 0; p < packets; p++) {
      const samples = Int32Array.from({ length: 48 * channels }, (_, i) => mixed(next * channels + i));
      made += capture.write(samples, { pts: next, ...stamp });
      next += 48;
    }
    return made;
  };
  const skip = (frames) => { next += frames; };
  return { capture, write, skip };
}

// Whether a packet holds what was written for its time.
function isRight(packet) {
  const { samples, pts, format } = packet;
  const first = pts * format.channels;
  if (samples.length !== packet.frames * format.channels) return false;
  const value = samples[0] === mixed(first) ? mixed : ramp;
  for (let i = 0; i < samples.length; i++) if (samples[i] !== value(first + i)) return false;
  return true;
}

module.exports = { ...zcbuf, gc, turn, until, collectUntil, manual, isRight };
