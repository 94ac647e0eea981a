// `tidegate demo` as a person meets it: a click through the shop, and the live page beside it.
// Needs the built binary (TIDEGATE_BIN, or the usual target folder) and a Chromium; else skipped.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => path && existsSync(path));
const target = process.env.CARGO_TARGET_DIR ?? new URL('../../../target', import.meta.url).pathname;
const binary = process.env.TIDEGATE_BIN ?? `${target}/debug/tidegate`;
const missing = !executablePath ? 'no Chromium found: set CHROMIUM' : !existsSync(binary) ? `no ${binary}` : '';
const options = missing ? { skip: missing } : { timeout: 120_000 };

let demo, browser, shop, live, said;
const errors = [];

before(async () => {
  if (missing) return;
  demo = spawn(binary, ['demo', '--shop-port=0', '--ad-server-port=0', '--gateway-port=0', '--admin-port=0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  said = '';
  demo.stdout.on('data', (text) => (said += text));
  await eventually('the demo to say where it is', () => /\/live/.test(said), 60_000);
  live = said.match(/http:\S+\/live/)[0];
  shop = live.replace('/live', '');
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
});

after(async () => {
  await browser?.close();
  demo?.kill('SIGKILL');
});

async function eventually(what, holds, patience_ms = 20_000) {
  const end = Date.now() + patience_ms;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function open(context, url) {
  const page = await context.newPage();
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await page.goto(url);
  return page;
}

test('a click through the shop shows events, segments and verified callbacks with their times', options, async () => {
  const context = await browser.newContext();
  const watch = await open(context, live);
  const page = await open(context, `${shop}/`);
  const list = () => watch.locator('#list').innerText();
  const told = async (change, segment) => {
    const line = watch.locator(`#list .changes .${change}`, { hasText: segment });
    await eventually(`${change} ${segment}`, async () => (await line.count()) > 0);
    await eventually(`the callback of ${segment}`, async () => /callback (<1|\d+) ms, signature good/.test(await line.first().innerText()));
  };

  await eventually('the first page view', async () => /on disk/.test(await list()));
  await page.click('text=Storm lantern');
  await page.click('text=Add to cart');
  await eventually('the cart', async () => /Product Added/.test(await list()));
  await page.click('text=Membership');
  await told('enter', 'pricing-interested');
  await eventually('the shop to know it too', async () => /pricing-interested/.test(await page.locator('#segments').innerText()));
  await told('enter', 'cart-abandoned');
  await page.click('text=Cart');
  await page.click('text=Check out');
  await page.click('text=Buy now');
  await told('enter', 'buyers');
  await told('exit', 'cart-abandoned');

  await watch.bringToFront();
  await eventually('the person', async () => /ada@example.com/.test(await watch.locator('#facts').innerText()));
  assert.match(await watch.locator('#t-callbacks').innerText(), /^[1-9]/);
  assert.equal(await watch.locator('.reply.bad').count(), 0);
  assert.equal(await watch.locator('#who option').count(), 2, 'one visitor beside the automatic choice');
  assert.deepEqual(errors, []);
  await context.close();
});

test('the live page is usable by keyboard alone', options, async () => {
  const context = await browser.newContext();
  const watch = await open(context, live);
  await eventually('the stream', async () => (await watch.locator('#state').innerText()) === 'connected');
  const before = Number(await watch.locator('#t-events').innerText());
  await watch.keyboard.press('v');
  await eventually('a visitor', async () => Number(await watch.locator('#t-events').innerText()) > before);
  await watch.keyboard.press('p');
  assert.equal(await watch.locator('#pause').getAttribute('aria-pressed'), 'true');
  await context.close();
});

test('Ctrl-C stops the demo cleanly', options, async () => {
  const ended = new Promise((resolve) => demo.on('exit', (code) => resolve(code)));
  demo.kill('SIGINT');
  assert.equal(await ended, 0);
});
