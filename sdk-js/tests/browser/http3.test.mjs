// The tag in a real Chromium against the real gateway over HTTP/3.
// Needs the built binary (TIDEGATE_BIN, or the usual target folder) and a Chromium; else skipped.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => path && existsSync(path));
const target = process.env.CARGO_TARGET_DIR ?? new URL('../../../target', import.meta.url).pathname;
const binary = process.env.TIDEGATE_BIN ?? `${target}/debug/tidegate`;
const missing = !executablePath ? 'no Chromium found: set CHROMIUM' : !existsSync(binary) ? `no ${binary}` : '';
const options = missing ? { skip: missing } : { timeout: 120_000 };

let dir, gateway, browser, origin, admin;

before(async () => {
  if (missing) return;
  dir = mkdtempSync(join(tmpdir(), 'tidegate-h3-'));
  const config = join(dir, 'tidegate.toml');
  writeFileSync(config, 'data_dir = "data"\n[edge]\nhttp = "127.0.0.1:0"\nhttps = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:0"\n');
  gateway = spawn(binary, ['serve', '--config', config], { stdio: ['ignore', 'ignore', 'inherit'] });
  const announced = join(dir, 'data/addresses.json');
  await eventually('the gateway', () => existsSync(announced), 60_000);
  const addresses = JSON.parse(readFileSync(announced, 'utf8'));
  origin = `https://${addresses.https}`;
  admin = `http://${addresses.admin}`;
  const { publicKey } = new X509Certificate(readFileSync(join(dir, 'data/tls/self-signed.pem')));
  const spki = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--enable-quic', `--origin-to-force-quic-on=${addresses.https}`, `--ignore-certificate-errors-spki-list=${spki}`] });
});

after(async () => {
  await browser?.close();
  gateway?.kill('SIGKILL');
  if (dir) rmSync(dir, { recursive: true });
});

async function eventually(what, holds, patience_ms = 20_000) {
  const end = Date.now() + patience_ms;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const metric = async (line) => {
  const text = await (await fetch(`${admin}/metrics`)).text();
  return Number(text.split('\n').find((found) => found.startsWith(`${line} `))?.split(' ').at(-1) ?? 0);
};

test('page, tag, events and pixel travel over HTTP/3, and the cookie is __Host-', options, async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${origin}/healthz`);
  await page.evaluate(() => {
    const script = document.createElement('script');
    Object.assign(script.dataset, { key: 'demo', consent: 'granted' });
    script.src = '/tag.js';
    document.head.append(script);
    const image = new Image();
    image.src = '/v1/pixel.gif?writeKey=demo&event=Seen';
    document.head.append(image);
  });
  await eventually('a page view and a pixel', async () => (await metric('tidegate_events_total{outcome="accepted"}')) >= 2);
  // The tag reads no answer's body, and a fetch is listed only once that has been read.
  await page.evaluate(async () => (await fetch('/v1/events', { method: 'POST', keepalive: true, body: '{"writeKey":"demo","type":"track","event":"Read"}' })).text());
  const protocols = () => page.evaluate(() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .map(({ name, nextHopProtocol }) => [new URL(name).pathname, nextHopProtocol])
    .filter(([path]) => path !== '/favicon.ico'));
  await eventually('all entries', async () => (await protocols()).length >= 4);
  const seen = Object.fromEntries(await protocols());
  assert.deepEqual(seen, { '/healthz': 'h3', '/tag.js': 'h3', '/v1/pixel.gif': 'h3', '/v1/events': 'h3' });
  assert.ok((await metric('tidegate_edge_requests_by_version_total{version="3"}')) >= 5);
  assert.equal(await metric('tidegate_edge_requests_by_version_total{version="1"}'), 0);
  assert.equal(await metric('tidegate_edge_requests_by_version_total{version="2"}'), 0);
  const cookie = (await context.cookies()).find(({ name }) => name === '__Host-tg_vid');
  assert.ok(cookie?.secure && cookie.httpOnly && cookie.sameSite === 'Lax', JSON.stringify(cookie));

  const before = await metric('tidegate_events_total{outcome="accepted"}');
  await page.evaluate(() => navigator.sendBeacon('/v1/events', '{"writeKey":"demo","type":"track","event":"Left"}'));
  await eventually('the beacon', async () => (await metric('tidegate_events_total{outcome="accepted"}')) > before);
  await context.close();
});
