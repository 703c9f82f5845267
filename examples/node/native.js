// SPDX-License-Identifier: MIT
//
// Finds the addon: where ZCB_NODE_ADDON says, beside this file, or in build/.
'use strict';

const path = require('node:path');
const fs = require('node:fs');

const places = [
  process.env.ZCB_NODE_ADDON,
  path.join(__dirname, 'zcbuf.node'),
  path.join(__dirname, '..', '..', 'build', 'examples', 'node', 'zcbuf.node'),
].filter(Boolean);
const found = places.find((place) => fs.existsSync(place));

if (found === undefined)
  throw new Error(`zcbuf.node is in none of ${places.join(', ')}: build it with Meson`);

module.exports = require(path.resolve(found));
