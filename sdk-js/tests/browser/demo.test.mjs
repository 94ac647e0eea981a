// `tidegate demo` as a person meets it: a click through the shop, and the live page beside it.
// Needs the built binary (TIDEGATE_BIN, or the usual target folder) and a Chromium; else skipped.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => path && existsSync(path));
const target = process.env.CARGO_TARGET_DIR ?? new URL('../../../target', import.meta.url).pathname;
const binary = process.env.TIDEGATE_BIN ?? `${target}/debug/tidegate`;
const missing = !executablePath ? 'no Chromium found: set CHROMIUM' : !existsSync(binary) ? `no ${binary}` : '';
const options = missing ? { skip: missing } : { timeout: 120_000 };

let demo, browser, shop, live;
const errors = [];
const axe = readFileSync(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

async function start(port) {
  demo = spawn(binary, ['demo', `--shop-port=${port}`, '--ad-server-port=0', '--gateway-port=0', '--admin-port=0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  demo.stdout.on('data', (text) => (said += text));
  await eventually('the demo to say where it is', () => /\/live/.test(said), 60_000);
  live = said.match(/http:\S+\/live/)[0];
  shop = live.replace('/live', '');
}

async function stop() {
  const ended = new Promise((resolve) => demo.on('exit', (code) => resolve(code)));
  demo.kill('SIGINT');
  return ended;
}

before(async () => {
  if (missing) return;
  await start(0);
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

test('a line opens its journal record, by mouse and by keyboard', options, async () => {
  const context = await browser.newContext();
  const watch = await open(context, live);
  await eventually('a line', async () => (await watch.locator('#list > li').count()) > 0);
  // So that no new line moves what is pressed.
  await watch.keyboard.press('p');
  const line = watch.locator('#list > li', { hasText: 'Order Completed' }).first();
  await line.locator('.what').click();
  const record = JSON.parse(await line.locator('.raw').innerText());
  assert.equal(record.event, 'Order Completed');
  assert.equal(record.schema, 1);
  assert.equal(typeof record.offset, 'number');
  assert.ok(!('durable_ms' in record), 'the record alone, without what the page measured');
  assert.equal(await line.locator('.open').getAttribute('aria-expanded'), 'true');
  await line.locator('.raw').click();
  assert.equal(await line.locator('.raw').count(), 1, 'a click into the record leaves it open');
  await line.locator('.open').focus();
  await watch.keyboard.press('Enter');
  assert.equal(await line.locator('.raw').count(), 0);
  assert.equal(await line.locator('.open').getAttribute('aria-expanded'), 'false');
  await context.close();
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [400, 1280]) {
    test(`the pages pass axe: ${colorScheme}, ${width} px wide`, options, async () => {
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 800 }, reducedMotion: 'reduce' });
      for (const url of [live, `${shop}/`, `${shop}/product/lantern`, `${shop}/pricing`, `${shop}/cart`, `${shop}/checkout`]) {
        const page = await open(context, url);
        if (url === live) {
          await eventually('a callback', async () => (await page.locator('.reply.ok').count()) > 0);
          await page.locator('#list > li .what').first().click();
        }
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => window.axe.run());
        assert.deepEqual(violations.map((v) => [v.id, ...v.nodes.map((n) => n.html.slice(0, 120))]), [], url);
        await page.close();
      }
      await context.close();
    });
  }
}

test('on a small screen the feed begins on the first screen and nothing covers the buttons', options, async () => {
  const context = await browser.newContext({ viewport: { width: 400, height: 800 } });
  const watch = await open(context, live);
  await eventually('a line', async () => (await watch.locator('#list > li').count()) > 0);
  const { y, height } = await watch.locator('#list > li').first().boundingBox();
  assert.ok(y + Math.min(height, 80) < 600, `the first line begins at ${y} px of 800`);
  assert.ok(await watch.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'no scrolling sideways');
  const page = await open(context, `${shop}/product/lantern`);
  const fits = await page.evaluate(() => {
    const chip = (name) => Object.assign(document.createElement('b'), { textContent: name });
    document.getElementById('segments').replaceChildren(...['pricing-interested', 'cart-abandoned', 'buyers'].map(chip));
    return document.documentElement.scrollWidth <= innerWidth;
  });
  assert.ok(fits, 'three segments fit beside each other or wrap');
  const button = page.locator('text=Add to cart');
  const box = await button.boundingBox();
  for (let top = Math.max(0, box.y + box.height - 800); top <= box.y; top += 50) {
    await page.evaluate((y) => scrollTo(0, y), top);
    const covered = await button.evaluate((node) => {
      const { left, top, width, height } = node.getBoundingClientRect();
      return top >= 0 && top + height <= innerHeight && !node.contains(document.elementFromPoint(left + width / 2, top + height / 2));
    });
    assert.ok(!covered, `scrolled to ${top} px something covers the button`);
  }
  assert.ok(box.y + box.height <= 800, `the button ends at ${box.y + box.height} px of 800`);
  await context.close();
});

test('Ctrl-C stops the demo cleanly, the live page says so and goes on with the next run', options, async () => {
  const context = await browser.newContext();
  const watch = await context.newPage();
  await watch.goto(live);
  await eventually('the stream', async () => (await watch.locator('#state').innerText()) === 'connected');
  assert.equal(await watch.locator('#stopped').isVisible(), false);
  assert.equal(await stop(), 0);
  await eventually('the page to say that the gateway stopped', () => watch.locator('#stopped').isVisible());
  assert.match(await watch.locator('#stopped').innerText(), /has stopped.*make demo/s);
  await start(new URL(live).port);
  await eventually('the page to connect to the next run', async () => (await watch.locator('#state').innerText()) === 'connected');
  assert.equal(await watch.locator('#stopped').isVisible(), false);
  assert.equal(await watch.locator('#list > li').count(), 0, 'nothing of the run before');
  await watch.keyboard.press('v');
  await eventually('a visitor of this run', async () => (await watch.locator('#list > li').count()) > 0);
  await context.close();
});
