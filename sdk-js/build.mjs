// Builds dist/tag.js, which is committed: a Rust build embeds it and needs no node.
// `--check` builds beside it and fails where the committed bytes differ or are too many.

import { readFileSync, writeFileSync } from 'node:fs';
import { brotliCompressSync } from 'node:zlib';
import { build } from 'esbuild';

const here = new URL('.', import.meta.url);
const file = 'dist/tag.js';
const { outputFiles } = await build({
  entryPoints: [new URL('src/index.ts', here).pathname],
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2018',
  charset: 'utf8',
  legalComments: 'none',
  write: false,
  banner: { js: '/*! Tidegate tag, Apache-2.0 */' },
});
const built = Buffer.from(outputFiles[0].contents);
const size = brotliCompressSync(built).length;
const max = JSON.parse(readFileSync(new URL('size.json', here)))[file].brotli_bytes_max;
console.log(`${file}: ${built.length} bytes, ${size} brotli (at most ${max})`);
if (size > max) fail(`too large by ${size - max} bytes: see size.json`);
if (process.argv.includes('--check')) {
  if (!readFileSync(new URL(file, here)).equals(built)) fail('not what src/ builds: run `npm run build` and commit it');
} else {
  writeFileSync(new URL(file, here), built);
}

function fail(why) {
  console.error(`${file}: ${why}`);
  process.exit(1);
}
