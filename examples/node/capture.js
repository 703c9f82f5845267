// SPDX-License-Identifier: MIT
//
// A capture and its readers. Packets come by read(), readBatch(), await next(), for await, or events;
// all of them take from the same queue, so a program uses one of these for each reader.
'use strict';

const { EventEmitter } = require('node:events');
const {
  native, RECORD, wide, Slabs, Account, error, whole, oneOf, flag, plainObject, renamed,
} = require('./memory.js');
const {
  Packet, issue, issueOf, isOut, noteEnd,
} = require('./packet.js');

const SAMPLES = {
  s16: { number: 1, bytes: 2, Samples: Int16Array },
  s24: { number: 2, bytes: 3, Samples: null },
  s24_32: { number: 3, bytes: 4, Samples: Int32Array },
  s32: { number: 4, bytes: 4, Samples: Int32Array },
  f32: { number: 5, bytes: 4, Samples: Float32Array },
  f64: { number: 6, bytes: 8, Samples: Float64Array },
};
const SOURCES = { ramp: 1, tone: 2, silence: 3, manual: 0 };
const FULL = { 'drop-newest': 0, 'drop-oldest': 1, overwrite: 2 };
const LAG = { 'drop-oldest': 0, skip: 1, hold: 2 };
const BATCH = 64; // packets that are fetched at a time
const TURN = 1024; // packets after which the event loop gets its turn

const EXTERNAL = native.external();
const WAKE = Symbol('wake');

function settings(options) {
  const { speed = 1 } = options;
  if (typeof speed !== 'number' || !(speed > 0 && speed <= 1e6))
    throw Object.assign(new RangeError('speed: above 0, up to a million'), { code: 'EINVAL' });
  return {
    rate: whole(options, 'rate', 48000, 1536000),
    channels: whole(options, 'channels', 2, 256),
    sample: oneOf(options, 'sample', SAMPLES, 'f32').number,
    planar: flag(options, 'planar') ? 1 : 0,
    device: oneOf(options, 'source', SOURCES, 'ramp'),
    speed,
    limitFrames: whole(options, 'frames', 0, Number.MAX_SAFE_INTEGER),
    periodFrames: whole(options, 'periodFrames', 0, 1 << 24),
    packetFrames: whole(options, 'packetFrames', 0, 1 << 26),
    buffers: whole(options, 'buffers', 0, 4096),
    maxBuffers: whole(options, 'maxBuffers', 0, 4096),
    spare: whole(options, 'spare', 0, 4096),
    full: oneOf(options, 'full', FULL, 'drop-newest'),
    flags: flag(options, 'asDelivered') ? 1 : 0,
    maxReaders: whole(options, 'maxReaders', 0, 64),
    maxDepth: whole(options, 'maxDepth', 0, 1024),
    toleranceFrames: whole(options, 'toleranceFrames', 0, 2 ** 32 - 1),
    maxGapFrames: whole(options, 'maxGapFrames', 0, 2 ** 32 - 1),
    concealFrames: whole(options, 'concealFrames', 0, 1 << 20),
    wakeMs: whole(options, 'wakeMs', 0, 1000),
    copies: flag(options, 'copies') || !EXTERNAL ? 1 : 0,
  };
}

// What packets and readers need of a capture. It does not hold them, so what a program has forgotten
// can go; but for readers that wait, which are to go on.
class Core {
  constructor(options) {
    const wanted = settings(options);
    const sample = oneOf(options, 'sample', SAMPLES, 'f32');

    this.checked = flag(options, 'checked');
    this.copies = wanted.copies === 1;
    this.Samples = sample.Samples;
    this.format = Object.freeze({
      rate: wanted.rate,
      channels: wanted.channels,
      sample: options.sample ?? 'f32',
      planar: wanted.planar === 1,
      sampleBytes: sample.bytes,
    });
    this.maxDepth = wanted.maxDepth || 64;
    this.records = new Int32Array(BATCH * RECORD.SIZE);
    this.waiting = new Map(); // readers that are to be woken, by their number
    this.holders = 0; // readers for which the process goes on
    this.readers = new Map(); // all, by their number, as long as somebody has them
    this.closing = false;
    this.closed = false;
    this.last = null; // statistics of when it was closed
    this.id = native.open(wanted, (reader) => this.waiting.get(reader)?.[WAKE]());
    this.slabs = new Slabs((handle) => native.slab(this.id, handle), this.copies);
    this.account = new Account(this.id, native.release, this.slabs);
  }

  hold(change) {
    const before = this.holders;
    this.holders += change;
    if ((before === 0) !== (this.holders === 0) && !this.closed)
      native.hold(this.id, this.holders !== 0);
  }

  stats() {
    if (this.closed) return { ...this.last, forgotten: this.account.forgotten };
    return { ...renamed(native.stats(this.id)), forgotten: this.account.forgotten, copies: this.copies };
  }

  close() {
    if (this.closing) return;
    this.closing = true;
    for (const reader of [...this.readers.values()]) reader.deref()?.close();
    this.last = this.stats();
    this.closed = true;
    native.close(this.id);
    this.waiting.clear();
  }
}

// What a reader that was forgotten leaves behind.
class Seat {
  constructor(core, index) {
    this.core = core;
    this.index = index;
    this.taken = true;
  }

  leave() {
    if (this.taken && !this.core.closed) native.closeReader(this.core.id, this.index);
    this.taken = false;
  }
}

const abandonedCaptures = new FinalizationRegistry((core) => core.close());
const abandonedReaders = new FinalizationRegistry((seat) => seat.leave());

class Reader extends EventEmitter {
  #core;
  #seat;
  #capture; // which shall not go before its readers
  #autoRelease;
  #batch = []; // fetched and not handed out: those from #at to #count
  #at = 0;
  #count = 0;
  #waiters = []; // next() that have to wait
  #flowing = false;
  #paused = false;
  #scheduled = false;
  #armed = false;
  #holding = false;
  #ended = false;
  #closed = false;
  #end = new Int32Array(4); // when the last packet ended; 0 in [3]: there was none
  #told = NaN; // the last packet whose gap was told
  #last = null; // statistics of when it was closed

  constructor(key, core, capture, options) {
    super();
    if (key !== native) throw error('EINVAL', 'readers come from captures');
    this.#core = core;
    this.#capture = capture;
    this.#autoRelease = flag(options, 'autoRelease');
    // As deep as can be: an event loop is not always in time.
    this.#seat = new Seat(core, native.openReader(core.id, whole(options, 'depth', core.maxDepth, 1024),
      oneOf(options, 'lag', LAG, 'drop-oldest')));
    core.readers.set(this.#seat.index, new WeakRef(this));
    if (capture !== null) abandonedReaders.register(this, this.#seat);
  }

  get format() { return this.#core.format; }
  get ended() { return this.#ended; }
  get closed() { return this.#closed || this.#core.closed; }

  // ---- from the addon

  // How many packets were fetched into the records.
  #fetch(max) {
    if (this.closed) throw error('ERR_CLOSED', 'this reader is closed');
    if (this.#ended) return 0;
    const core = this.#core;
    const n = native.read(core.id, this.#seat.index, core.records, max);
    if (n >= 0) return n;
    this.#ended = true;
    process.nextTick(() => this.emit('end'));
    return 0;
  }

  // The packet of record i. Its object is the one that the buffer had the last time, if that is idle.
  #packet(i) {
    const core = this.#core;
    const { records } = core;
    const at = i * RECORD.SIZE;
    const { index } = this.#seat;
    const place = core.slabs.place(records[at + RECORD.SLAB], records[at + RECORD.OFFSET]);
    let packet = place.idle[index];
    if (packet === undefined || packet === null) packet = new Packet(native, core, place, index);
    else place.idle[index] = null;
    issue(packet, records, at);
    return packet;
  }

  #fill(max) {
    const n = this.#fetch(max);
    for (let i = 0; i < n; i++) this.#batch[i] = this.#packet(i);
    this.#at = 0;
    this.#count = n;
    return n;
  }

  // For events: what goes wrong is one, and ends the flow until resume().
  #more() {
    try {
      return this.#fill(BATCH) !== 0;
    } catch (problem) {
      this.#paused = true;
      this.#flowing = false;
      this.emit('error', problem);
      return false;
    }
  }

  #takeFetched() {
    const packet = this.#batch[this.#at];
    this.#batch[this.#at++] = null;
    return packet;
  }

  // It comes the next time.
  #putBack(packet) {
    if (this.#at === 0) {
      this.#batch.unshift(packet);
      this.#count++;
    } else {
      this.#batch[--this.#at] = packet;
    }
  }

  // The array may be frozen, or what else the program has.
  #put(array, i) {
    const packet = this.#takeFetched();
    let there = false;
    try {
      array[i] = packet;
      there = true;
    } finally {
      if (!there) this.#putBack(packet);
    }
    this.#hand(packet, false);
  }

  // Every packet passes here on its way to the program.
  #hand(packet, now) {
    const end = this.#end;
    if (packet.discontinuity && end[3] !== 0 && this.listenerCount('gap') !== 0) {
      const { pts, number } = packet;
      const expected = wide(end[0], end[1]) + end[2];
      const gap = { pts, expected, lost: pts - expected, number };
      if (number !== this.#told) {
        this.#told = number;
        if (now) this.emit('gap', gap);
        else process.nextTick(() => this.emit('gap', gap));
      }
    }
    noteEnd(packet, end);
    return packet;
  }

  // ---- at once

  // The next packet; null: none is there now.
  read() {
    if (this.#at < this.#count) return this.#hand(this.#takeFetched(), false);
    return this.#fetch(1) === 0 ? null : this.#hand(this.#packet(0), false);
  }

  // Puts up to `max` packets into `array` from its front on; how many.
  readBatch(array, max = array.length) {
    if (!Array.isArray(array)) throw Object.assign(new TypeError('array: an Array'), { code: 'EINVAL' });
    if (!Number.isSafeInteger(max) || max < 0)
      throw Object.assign(new RangeError('max: a whole number'), { code: 'EINVAL' });
    for (let n = 0, short = false; ;) {
      while (n < max && this.#at < this.#count) this.#put(array, n++);
      if (n === max || short) return n;
      const want = Math.min(max - n, BATCH);
      try {
        short = this.#fill(want) < want;
      } catch (problem) {
        if (n === 0) throw problem;
        return n; // the next call says what is wrong
      }
    }
  }

  // ---- promises

  // The next packet; null: the stream has ended, or the reader was closed.
  next() {
    try {
      if (this.#waiters.length === 0) {
        if (this.closed) return Promise.resolve(null);
        const packet = this.read();
        if (packet !== null || this.#ended) return Promise.resolve(packet);
      }
    } catch (problem) {
      return Promise.reject(problem);
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#goOn();
    });
  }

  async* [Symbol.asyncIterator]() {
    for (let packet; (packet = await this.next()) !== null;) {
      const use = issueOf(packet);
      try {
        yield packet;
      } finally {
        if (this.#autoRelease && isOut(packet, use)) packet.release();
      }
    }
  }

  // As many as are there at a time, at most `size`, in one array that is used again and again.
  async* batches(size = BATCH) {
    const array = [];
    const mine = []; // as the program may change the array
    const uses = [];
    if (whole({ size }, 'size', BATCH, 1 << 20) === 0) throw error('EINVAL', 'size: above 0');
    while (!this.closed) {
      let n = this.readBatch(array, size);
      if (n === 0) {
        array[0] = await this.next();
        if (array[0] === null) return;
        n = 1;
      }
      array.length = n;
      for (let i = 0; i < n; i++) {
        mine[i] = array[i];
        uses[i] = issueOf(array[i]);
      }
      try {
        yield array;
      } finally {
        if (this.#autoRelease)
          for (let i = 0; i < n; i++) if (isOut(mine[i], uses[i])) mine[i].release();
      }
    }
  }

  // ---- events

  on(name, listener) {
    super.on(name, listener);
    if (name === 'data' && !this.#paused) this.#flow();
    return this;
  }

  addListener(name, listener) { return this.on(name, listener); }

  prependListener(name, listener) {
    super.prependListener(name, listener);
    if (name === 'data' && !this.#paused) this.#flow();
    return this;
  }

  off(name, listener) { return this.removeListener(name, listener); }

  removeListener(name, listener) {
    super.removeListener(name, listener);
    this.#ebb();
    return this;
  }

  removeAllListeners(...names) {
    super.removeAllListeners(...names);
    this.#ebb();
    return this;
  }

  // Nobody listens any more: nothing waits, and the capture can be forgotten.
  #ebb() {
    if (!this.#flowing || this.listenerCount('data') !== 0) return;
    this.#flowing = false;
    this.#goOn();
  }

  pause() {
    this.#paused = true;
    this.#flowing = false;
    this.#goOn();
    return this;
  }

  resume() {
    this.#paused = false;
    if (this.listenerCount('data') !== 0) this.#flow();
    return this;
  }

  #flow() {
    if (this.closed || this.#flowing) return;
    this.#flowing = true;
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#serve();
    });
  }

  [WAKE]() {
    this.#armed = false;
    this.#serve();
  }

  // Gives what is there to those who wait. A handler may throw: then the rest comes later.
  #serve() {
    try {
      while (this.#waiters.length !== 0 && !this.closed) {
        let packet;
        try {
          packet = this.read();
        } catch (problem) {
          this.#waiters.shift().reject(problem);
          continue;
        }
        if (packet === null && !this.#ended) break;
        this.#waiters.shift().resolve(packet);
      }
      if (this.#flowing && this.#waiters.length === 0) this.#pour();
    } finally {
      this.#goOn();
    }
  }

  #pour() {
    for (let left = TURN; left > 0 && this.#flowing && !this.closed; left--) {
      if (this.#at >= this.#count && !this.#more()) return;
      const packet = this.#takeFetched();
      const use = issueOf(packet);
      let handed = false;
      try {
        this.#hand(packet, true);
        handed = this.#flowing && !this.closed; // a handler of the gap may have ended it
        if (handed) this.emit('data', packet);
      } finally {
        if (!handed && !this.closed) this.#putBack(packet);
        else if ((this.#autoRelease || !handed) && isOut(packet, use)) packet.release();
      }
    }
    this.#schedule(); // there may be more
  }

  // What has to happen next: nothing, once more, or to be woken.
  #goOn() {
    const wants = !this.closed && !this.#ended && (this.#flowing || this.#waiters.length !== 0);
    const core = this.#core;
    if (wants !== this.#holding) {
      this.#holding = wants;
      core.hold(wants ? 1 : -1);
    }
    if (this.#at < this.#count && !this.closed && (this.#flowing || this.#waiters.length !== 0)) {
      this.#schedule();
    } else if (wants && !this.#armed && !this.#scheduled) {
      this.#armed = true;
      core.waiting.set(this.#seat.index, this);
      native.arm(core.id, this.#seat.index);
    } else if (!wants) {
      this.#armed = false;
      if (core.waiting.get(this.#seat.index) === this) core.waiting.delete(this.#seat.index);
    }
  }

  // ---- the rest

  // This reader's figures.
  readerStats() {
    return this.closed ? this.#last ?? {} : renamed(native.readerStats(this.#core.id, this.#seat.index));
  }

  // Ends reading: what waits is dropped, packets that are out stay until they are released.
  close() {
    if (this.#closed) return;
    if (!this.#core.closed) this.#last = this.readerStats();
    this.#closed = true;
    this.#flowing = false;
    while (this.#at < this.#count) this.#takeFetched().release();
    this.#goOn();
    this.#seat.leave();
    this.#core.readers.delete(this.#seat.index);
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(null);
    process.nextTick(() => this.emit('close'));
  }
}

class Capture extends Reader {
  #core;

  constructor(options = {}) {
    plainObject(options);
    const core = new Core(options);
    try {
      super(native, core, null, options);
    } catch (problem) {
      core.close();
      throw problem;
    }
    this.#core = core;
    abandonedCaptures.register(this, core);
    if (options.start !== false) this.start();
  }

  // The device begins; new Capture() does it unless it was told `start: false`.
  start() {
    this.#check();
    native.start(this.#core.id);
    return this;
  }

  // Another reader, from the next packet on: the same memory, a queue of its own.
  reader(options = {}) {
    this.#check();
    return new Reader(native, this.#core, this, plainObject(options));
  }

  // For `source: 'manual'`: the program is the device. How many packets were made.
  write(samples, { pts = -1, sequence = -1, discontinuity = false, silence = false } = {}) {
    this.#check();
    if (!ArrayBuffer.isView(samples))
      throw Object.assign(new TypeError('samples: a typed array or a Buffer'), { code: 'EINVAL' });
    const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
    return native.write(this.#core.id, bytes, pts, sequence, (discontinuity ? 1 : 0) | (silence ? 2 : 0));
  }

  flush() {
    this.#check();
    native.flush(this.#core.id);
  }

  // Says that nothing follows.
  end() {
    this.#check();
    native.end(this.#core.id);
  }

  // Releases those in front of an array, as readBatch() fills it.
  releaseBatch(packets, n = packets.length) {
    for (let i = 0; i < n; i++) packets[i].release();
  }

  // The capture's figures, and under `reader` those of its own queue.
  stats() {
    return { ...this.#core.stats(), reader: this.readerStats() };
  }

  close() {
    super.close();
    this.#core.close();
  }

  #check() {
    if (this.#core.closed) throw error('ERR_CLOSED', 'this capture is closed');
  }
}

module.exports = { Capture, Reader };
