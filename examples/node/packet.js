// SPDX-License-Identifier: MIT
//
// A packet at JavaScript: views of memory that the capture's pool has, until release().
//
// A packet object is used again for the next packet that comes in the same buffer: a program that
// keeps one after its release() sees another packet in it one day. `checked` captures make a new
// object for each, and take the memory away from its views when it is released.
'use strict';

const { native, RECORD, wide, Lease, forgotten, error } = require('./memory.js');

const DISCONTINUITY = 1;
const SILENCE = 2;
const END = 4;
const CONCEALED = 8;

let issue; // (packet, records, at): it stands for this packet now
let issueOf; // its number of use
let noteEnd; // (packet, Int32Array): keeps the time at which it ends, as two halves and its frames
let isOut; // (packet, number of use): still out, and for the same packet

class Packet {
  #core;
  #lease;
  #place;
  #reader; // -1: not used again
  #live = false;
  #alone = null; // checked: the ArrayBuffer of this packet only
  #bytes = 0;
  #frames = 0;
  #flags = 0;
  #stride = 0;
  #issue = 0; // how often the object was used
  #pts = 0;
  #ptsHigh = 0;
  #number = 0;
  #numberHigh = 0;

  constructor(key, core, place, reader) {
    if (key !== native) throw error('EINVAL', 'packets come from captures');
    this.#core = core;
    this.#place = place;
    this.#reader = reader;
    this.#lease = new Lease(core.account);
    forgotten.register(this, this.#lease, this.#lease);
  }

  #check() {
    if (!this.#live) throw error('ERR_RELEASED', 'this packet was released');
  }

  #memory() {
    this.#check();
    if (this.#alone === null || this.#alone.byteLength === 0)
      this.#alone = native.alone(this.#core.id, this.#lease.handle);
    return this.#alone;
  }

  get data() {
    if (this.#core.checked) return new Uint8Array(this.#memory());
    this.#check();
    return this.#place.view(this.#lease.handle, this.#bytes);
  }

  get samples() {
    this.#check();
    const Type = this.#core.Samples;
    if (Type === null) return undefined;
    if (this.#core.checked) return new Type(this.#memory());
    return this.#place.typed(this.#lease.handle, Type, this.#bytes / Type.BYTES_PER_ELEMENT);
  }

  // One channel's samples, where each channel lies by itself.
  plane(channel) {
    this.#check();
    const { channels, planar, sampleBytes } = this.#core.format;
    if (!planar || !Number.isInteger(channel) || channel < 0 || channel >= channels)
      throw Object.assign(new RangeError('no such plane'), { code: 'ERANGE' });
    const data = this.data;
    const start = data.byteOffset + channel * this.#stride;
    const Type = this.#core.Samples;
    return Type === null ? new Uint8Array(data.buffer, start, this.#frames * sampleBytes)
      : new Type(data.buffer, start, this.#frames);
  }

  get pts() { this.#check(); return wide(this.#pts, this.#ptsHigh); }
  get number() { this.#check(); return wide(this.#number, this.#numberHigh); }
  get frames() { this.#check(); return this.#frames; }
  get byteLength() { this.#check(); return this.#bytes; }
  get flags() { this.#check(); return this.#flags; }
  get discontinuity() { this.#check(); return (this.#flags & DISCONTINUITY) !== 0; }
  get silence() { this.#check(); return (this.#flags & SILENCE) !== 0; }
  get concealed() { this.#check(); return (this.#flags & CONCEALED) !== 0; }
  get end() { this.#check(); return (this.#flags & END) !== 0; }
  get released() { return !this.#live; }
  get format() { return this.#core.format; }

  // A packet of its own, with a reference of its own, of `frames` frames from `first` on: it can be
  // kept, and is released by itself.
  slice(first = 0, frames = this.frames - first) {
    this.#check();
    const core = this.#core;
    const records = core.records;
    native.slice(core.id, this.#lease.handle, first, frames, records);
    const part = new Packet(native, core,
      core.slabs.part(records[RECORD.SLAB], records[RECORD.OFFSET]), -1);
    issue(part, records, 0);
    return part;
  }

  // Bytes of its own, which nobody writes to.
  copy() { return new Uint8Array(this.data); }

  release() {
    this.#check();
    this.#live = false;
    const lease = this.#lease;
    lease.out = false;
    if (this.#alone !== null) {
      native.detach(this.#alone);
      this.#alone = null;
    }
    if (this.#core.checked || this.#reader < 0) forgotten.unregister(lease);
    else this.#place.idle[this.#reader] = this;
    lease.account.giveBack(lease);
  }

  static {
    if (Symbol.dispose)
      this.prototype[Symbol.dispose] = function dispose() { if (!this.released) this.release(); };
    issue = (packet, records, at) => {
      packet.#lease.handle = records[at + RECORD.HANDLE];
      packet.#lease.out = true;
      packet.#bytes = records[at + RECORD.BYTES];
      packet.#frames = records[at + RECORD.FRAMES];
      packet.#flags = records[at + RECORD.FLAGS];
      packet.#stride = records[at + RECORD.STRIDE];
      packet.#pts = records[at + RECORD.PTS];
      packet.#ptsHigh = records[at + RECORD.PTS_HIGH];
      packet.#number = records[at + RECORD.NUMBER];
      packet.#numberHigh = records[at + RECORD.NUMBER_HIGH];
      packet.#issue = (packet.#issue + 1) & 0x3fffffff;
      packet.#live = true;
    };
    noteEnd = (packet, end) => {
      end[0] = packet.#pts;
      end[1] = packet.#ptsHigh;
      end[2] = packet.#frames;
      end[3] = 1;
    };
    issueOf = (packet) => packet.#issue;
    isOut = (packet, count) => packet.#live && packet.#issue === count;
  }
}

module.exports = { Packet, issue, issueOf, isOut, noteEnd, DISCONTINUITY };
