// SPDX-License-Identifier: MIT
//
// What packets and buffers have in common: slabs as ArrayBuffers, views that are made once, and what
// becomes of an object that was forgotten.
'use strict';

const { markAsUntransferable } = require('node:worker_threads');
const native = require('./native.js');

// As enum record in addon.h.
const RECORD = {
  HANDLE: 0, SLAB: 1, OFFSET: 2, BYTES: 3, BYTES_HIGH: 4, FRAMES: 5, FLAGS: 6, STRIDE: 7, PTS: 8, PTS_HIGH: 9,
  NUMBER: 10, NUMBER_HIGH: 11, SIZE: 12,
};

// The number of two halves. Kept apart they are small integers, which need no object on the heap.
const wide = (low, high) => high * 0x100000000 + (low >>> 0);

// One buffer of a slab, with the views of it. They are made when they are first asked for, and again
// when the length is another or somebody has detached the ArrayBuffer; else they stay the same
// objects, so that the garbage collector has nothing to do.
class Place {
  constructor(slab, offset) {
    this.slab = slab;
    this.offset = offset;
    this.bytes = null; // Uint8Array
    this.short = null; // another, of the length that came last
    this.samples = null;
    this.sampleType = null;
    this.idle = []; // objects of this buffer that wait to be used again, one for each reader
  }

  view(handle, length) {
    if (this.bytes !== null && this.bytes.length === length) return this.bytes;
    if (this.short !== null && this.short.length === length) return this.short;
    const view = new Uint8Array(this.slab.buffer(handle), this.offset, length);
    if (this.bytes === null || this.bytes.length < length) this.bytes = view;
    else this.short = view;
    return view;
  }

  typed(handle, Type, length) {
    if (this.samples !== null && this.samples.length === length && this.sampleType === Type)
      return this.samples;
    this.samples = new Type(this.slab.buffer(handle), this.offset, length);
    this.sampleType = Type;
    return this.samples;
  }
}

class Slab {
  constructor(fetch, copies) {
    this.fetch = fetch;
    this.copies = copies;
    this.memory = null;
    this.places = new Map();
  }

  buffer(handle) {
    if (this.memory === null || this.memory.byteLength === 0) {
      this.memory = this.fetch(handle);
      // A transfer would leave all views of this slab empty. (One that happens anyway is seen above.)
      // Node marks external ones itself, and newer versions of it end with a fatal error when such a
      // one was marked here, too.
      if (this.copies) markAsUntransferable(this.memory);
    }
    return this.memory;
  }

  place(offset) {
    let place = this.places.get(offset);
    if (place === undefined) {
      place = new Place(this, offset);
      this.places.set(offset, place);
    }
    return place;
  }
}

class Slabs {
  constructor(fetch, copies) {
    this.fetch = fetch;
    this.copies = copies;
    this.slabs = new Map(); // by serial number
  }

  place(serial, offset) {
    let slab = this.slabs.get(serial);
    if (slab === undefined) {
      slab = new Slab(this.fetch, this.copies);
      this.slabs.set(serial, slab);
    }
    return slab.place(offset);
  }

  // For parts of a buffer, which are not kept.
  part(serial, offset) {
    const slab = this.slabs.get(serial) ?? new Slab(this.fetch, this.copies);
    return new Place(slab, offset);
  }
}

// Where things are given back. Leases have this and not the capture or pool itself: the registry below
// holds leases, so whatever can be reached from one would never be forgotten. (Slabs lead to objects
// that are idle.)
class Account {
  constructor(id, release, slabs) {
    this.id = id;
    this.release = release;
    this.slabs = new WeakRef(slabs);
    this.forgotten = 0;
  }

  // A slab that is not the pool's any more needs no views.
  giveBack(lease) {
    if (this.release(this.id, lease.handle) === false) this.slabs.deref()?.slabs.delete(lease.slab);
  }
}

// What has to be given back when an object is forgotten. Objects that are idle are held by their
// place, so only one that is out at the program can go; and then its lease says so.
class Lease {
  constructor(account) {
    this.account = account;
    this.handle = 0;
    this.slab = 0;
    this.out = false;
  }
}

const forgotten = new FinalizationRegistry((lease) => {
  if (!lease.out) return;
  lease.account.forgotten++;
  lease.account.giveBack(lease);
});

const error = (code, message) => Object.assign(new Error(message), { code });

// Numbers of an options object, with what is to be said when they are not.
function whole(options, name, otherwise, max) {
  const value = options[name];
  if (value === undefined) return otherwise;
  if (!Number.isInteger(value) || value < 0 || value > max)
    throw Object.assign(new RangeError(`${name}: a whole number from 0 to ${max}, not ${String(value)}`),
      { code: 'EINVAL' });
  return value;
}

function oneOf(options, name, names, otherwise) {
  const value = options[name];
  if (value === undefined) return names[otherwise];
  if (typeof value !== 'string' || !Object.hasOwn(names, value))
    throw Object.assign(new TypeError(`${name}: one of ${Object.keys(names).join(', ')}, not ${String(value)}`),
      { code: 'EINVAL' });
  return names[value];
}

function flag(options, name) {
  const value = options[name];
  if (value !== undefined && typeof value !== 'boolean')
    throw Object.assign(new TypeError(`${name}: true or false`), { code: 'EINVAL' });
  return value === true;
}

function plainObject(options) {
  if (options === null || typeof options !== 'object')
    throw Object.assign(new TypeError('options: an object'), { code: 'EINVAL' });
  return options;
}

const camel = new Map();
function camelCase(name) {
  let result = camel.get(name);
  if (result === undefined) {
    result = name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
    camel.set(name, result);
  }
  return result;
}

function renamed(stats) {
  const result = {};
  for (const name of Object.keys(stats)) result[camelCase(name)] = stats[name];
  return result;
}

module.exports = {
  native, RECORD, wide, Slabs, Account, Lease, forgotten, error, whole, oneOf, flag, plainObject, renamed,
};
