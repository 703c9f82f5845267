// SPDX-License-Identifier: MIT
//
// index.d.ts names what there is, and nothing else.
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const zcbuf = require('..');

const file = path.join(__dirname, '..', 'index.d.ts');
const text = fs.readFileSync(file, 'utf8');

// Names of members in the block behind `export class NAME`.
function declared(name) {
  const start = text.indexOf(`export class ${name} `);
  assert.notEqual(start, -1, name);
  const body = text.slice(start, text.indexOf('\n}\n', start));
  return new Set([...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:]/gm)].map((match) => match[1])
    .filter((member) => member !== 'constructor' && member !== 'protected' && member !== 'private'));
}

test('each class and member is declared, and is there', () => {
  assert.deepEqual([...text.matchAll(/^export class (\w+)/gm)].map((match) => match[1]).sort(),
    Object.keys(zcbuf).sort());
  // Overrides of EventEmitter's.
  const inherited = new Set(['on', 'addListener', 'prependListener', 'off', 'removeListener', 'removeAllListeners',
    'constructor']);
  for (const [name, Class] of Object.entries(zcbuf)) {
    const there = Object.getOwnPropertyNames(Class.prototype).filter((member) => !inherited.has(member));
    const own = declared(name);
    // close() is declared where it is first.
    if (name === 'Capture') own.add('close');
    assert.deepEqual(there.sort(), [...own].sort(), name);
  }
});

test('options that are declared are those that are read', () => {
  const code = ['capture.js', 'pool.js'].map((one) => fs.readFileSync(path.join(__dirname, '..', one), 'utf8')).join();
  for (const name of ['ReaderOptions', 'CaptureOptions', 'PoolOptions', 'Tier']) {
    const start = text.indexOf(`export interface ${name} `);
    const body = text.slice(start, text.indexOf('\n}\n', start));
    for (const [, option] of body.matchAll(/^ {2}(\w+)\??:/gm))
      assert.match(code, new RegExp(`'${option}'|options\\.${option}|{ ${option} = |tier, '${option}'`), option);
  }
});
