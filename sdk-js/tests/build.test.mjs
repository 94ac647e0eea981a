import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const root = new URL('..', import.meta.url);
const node = (...args) => spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });

test('dist/tag.js is what src/ builds, byte for byte, and within its size', () => {
  const { status, stdout, stderr } = node('build.mjs', '--check');
  assert.equal(status, 0, stdout + stderr);
});

test('the sources pass the strict type check', () => {
  const { status, stdout } = node('node_modules/typescript/bin/tsc', '--noEmit');
  assert.equal(status, 0, stdout);
});

test('no module is longer than 120 lines', () => {
  for (const name of readdirSync(new URL('src', root))) {
    const lines = readFileSync(new URL(`src/${name}`, root), 'utf8').split('\n').length;
    assert.ok(lines <= 120, `${name}: ${lines} lines`);
  }
});

test('the bundle needs nothing newer than ES2018', () => {
  const text = readFileSync(new URL('dist/tag.js', root), 'utf8');
  assert.doesNotMatch(text, /\?\.[a-z([]|\?\?/i);
});
