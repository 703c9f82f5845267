// SPDX-License-Identifier: MIT
//
// The pool by itself, for a program that fills buffers. A buffer object is used again for the next
// acquire of the same buffer; `checked` pools make a new one each time.
'use strict';

const {
  native, RECORD, wide, Slabs, Account, Lease, forgotten, error, whole, flag, plainObject, renamed,
} = require('./memory.js');

const EXTERNAL = native.external();
const TIERS = [{ size: 4096 }, { size: 16384 }, { size: 65536 }];

let issue;
let leaseOf; // undefined: not a buffer
let coreOf;

class PoolBuffer {
  #core;
  #lease;
  #place;
  #live = false;
  #alone = null;
  #length = 0;
  #capacity = 0;

  constructor(key, core, place) {
    if (key !== native) throw error('EINVAL', 'buffers come from pools');
    this.#core = core;
    this.#place = place;
    this.#lease = new Lease(core.account);
    forgotten.register(this, this.#lease, this.#lease);
  }

  #check() {
    if (!this.#live) throw error('ERR_RELEASED', 'this buffer was released');
  }

  #view(length) {
    if (!this.#core.checked) return this.#place.view(this.#lease.handle, length);
    if (this.#alone === null || this.#alone.byteLength === 0)
      this.#alone = native.poolAlone(this.#core.id, this.#lease.handle);
    return new Uint8Array(this.#alone, 0, length);
  }

  // As many bytes as were asked for; the memory goes on to `capacity`.
  get data() { this.#check(); return this.#view(this.#length); }
  get whole() { this.#check(); return this.#view(this.#capacity); }
  get length() { this.#check(); return this.#length; }
  get capacity() { this.#check(); return this.#capacity; }
  get released() { return !this.#live; }

  release() {
    this.#check();
    const core = this.#core;
    const lease = this.#lease;
    if (core.clear) this.#view(this.#capacity).fill(0);
    this.#live = false;
    lease.out = false;
    if (this.#alone !== null) native.detach(this.#alone);
    this.#alone = null;
    if (core.checked) forgotten.unregister(lease);
    else this.#place.idle[0] = this;
    lease.account.giveBack(lease);
  }

  static {
    if (Symbol.dispose)
      this.prototype[Symbol.dispose] = function dispose() { if (!this.released) this.release(); };
    issue = (buffer, records, length) => {
      buffer.#lease.handle = records[RECORD.HANDLE];
      buffer.#lease.out = true;
      buffer.#lease.slab = records[RECORD.SLAB];
      buffer.#length = length;
      buffer.#capacity = wide(records[RECORD.BYTES], records[RECORD.BYTES_HIGH]);
      buffer.#live = true;
    };
    leaseOf = (buffer) => (typeof buffer === 'object' && buffer !== null && #lease in buffer
      ? buffer.#lease : undefined);
    coreOf = (buffer) => buffer.#core;
  }
}

class Core {
  constructor(options) {
    const { tiers = TIERS } = options;
    if (!Array.isArray(tiers) || tiers.length === 0 || tiers.length > 8)
      throw Object.assign(new TypeError('tiers: an array of one to eight'), { code: 'EINVAL' });
    const numbers = new Float64Array(tiers.length * 3);
    tiers.forEach((tier, i) => {
      plainObject(tier);
      numbers[3 * i] = whole(tier, 'size', 0, 2 ** 31);
      numbers[3 * i + 1] = whole(tier, 'prealloc', 0, 2 ** 20);
      numbers[3 * i + 2] = whole(tier, 'max', 0, 2 ** 20);
    });
    this.checked = flag(options, 'checked');
    this.clear = flag(options, 'clear');
    this.records = new Int32Array(RECORD.SIZE);
    const copies = flag(options, 'copies') || !EXTERNAL;
    this.slabs = new Slabs((handle) => native.poolSlab(this.id, handle), copies);
    this.closed = false;
    this.last = null;
    this.id = native.poolOpen({
      maxBytes: whole(options, 'maxBytes', 0, Number.MAX_SAFE_INTEGER),
      oversize: options.oversize === false ? 0 : 1,
      grow: flag(options, 'grow') ? 1 : 0,
      copies: copies ? 1 : 0,
    }, numbers);
    this.account = new Account(this.id, native.poolRelease, this.slabs);
  }

  stats() {
    if (this.closed) return { ...this.last, forgotten: this.account.forgotten };
    return { ...renamed(native.poolStats(this.id)), forgotten: this.account.forgotten };
  }

  close() {
    if (this.closed) return;
    this.last = this.stats();
    this.closed = true;
    native.poolClose(this.id);
  }
}

const abandoned = new FinalizationRegistry((core) => core.close());

class Pool {
  #core;

  constructor(options = {}) {
    this.#core = new Core(plainObject(options));
    abandoned.register(this, this.#core);
  }

  #check() {
    if (this.#core.closed) throw error('ERR_CLOSED', 'this pool is closed');
  }

  // A buffer of at least `length` bytes, of the smallest tier that has room; above the largest, one of
  // that size. null: a limit is reached. What it holds is what was there before.
  acquire(length) {
    this.#check();
    const core = this.#core;
    const { records } = core;
    if (!Number.isSafeInteger(length) || length < 0)
      throw Object.assign(new RangeError('length: a whole number'), { code: 'EINVAL' });
    if (!native.poolAcquire(core.id, length, records)) return null;
    const place = core.slabs.place(records[RECORD.SLAB], records[RECORD.OFFSET]);
    let buffer = place.idle[0];
    if (buffer === undefined || buffer === null) buffer = new PoolBuffer(native, core, place);
    else place.idle[0] = null;
    issue(buffer, records, length);
    return buffer;
  }

  // The same as buffer.release(), for a buffer of this pool.
  release(buffer) {
    if (leaseOf(buffer) === undefined)
      throw Object.assign(new TypeError('buffer: one of this pool'), { code: 'EINVAL' });
    if (coreOf(buffer) !== this.#core) throw error('EINVAL', 'a buffer of another pool');
    buffer.release();
  }

  // Makes sure that `count` buffers for `length` bytes are there, with their objects and views. How
  // many there are: fewer, where a limit is reached.
  warm(length, count) {
    const buffers = [];
    for (let buffer; buffers.length < count && (buffer = this.acquire(length)) !== null;) {
      buffers.push(buffer);
      if (buffer.data.length !== length) break;
    }
    for (const buffer of buffers) buffer.release();
    return buffers.length;
  }

  // Gives idle memory back; bytes.
  trim() {
    this.#check();
    const { slabs } = this.#core.slabs;
    const given = native.poolTrim(this.#core.id);
    // What is idle gets new views; what is out keeps its own.
    slabs.clear();
    return given;
  }

  stats() { return this.#core.stats(); }

  close() { this.#core.close(); }
}

module.exports = { Pool, PoolBuffer };
