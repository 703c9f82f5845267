// SPDX-License-Identifier: MIT
//
// Captured audio and pooled buffers in Node.js, in the memory that they were written to. docs/audio-node.md
// tells how it works; index.d.ts lists what there is.
'use strict';

const { Capture, Reader } = require('./capture.js');
const { Packet } = require('./packet.js');
const { Pool, PoolBuffer } = require('./pool.js');

module.exports = { Capture, Reader, Packet, Pool, PoolBuffer };
