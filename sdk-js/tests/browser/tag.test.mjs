// The tag in a real Chromium against a real server. Skipped, and said so, where there is none.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => path && existsSync(path));
const options = executablePath ? {} : { skip: 'no Chromium found: set CHROMIUM' };
const tag = readFileSync(new URL('../../dist/tag.js', import.meta.url));

let browser, server, origin, requests, failures;

/** Site and collector in one: pages, the tag, and /v1/events that remembers and sets a cookie. */
function serve(request, response) {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
    const path = new URL(request.url, origin).pathname;
    if (path === '/tag.js') return response.setHeader('content-type', 'text/javascript').end(tag);
    if (path === '/v1/events') return collect(request, Buffer.concat(chunks).toString(), response);
    response.setHeader('content-type', 'text/html');
    // A strict policy, as careful sites have: the tag must not need inline script or eval.
    response.setHeader('content-security-policy', "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:");
    const consent = path === '/waiting' ? '' : 'data-consent="granted"';
    response.end(`<!doctype html><title>${path}</title><link rel="icon" href="data:,"><script async src="/tag.js" data-key="demo" ${consent}></script><a href="/next">next</a>`);
  });
}

function collect(request, text, response) {
  const status = failures.shift() ?? 200;
  requests.push({ method: request.method, type: request.headers['content-type'], cookie: request.headers.cookie, status, ...(text && JSON.parse(text)) });
  response.setHeader('set-cookie', 'tg_vid=v1; HttpOnly; SameSite=Lax; Path=/');
  response.writeHead(status, { 'content-type': 'application/json' }).end('{"success":true}');
}

const events = () => requests.filter((r) => r.status === 200).flatMap((r) => r.batch ?? []);

async function eventually(what, holds, patience_ms = 10_000) {
  const end = Date.now() + patience_ms;
  while (!holds()) {
    assert.ok(Date.now() < end, `${what}; received: ${JSON.stringify(events().map((e) => [e.type, e.event, e.context.page.path]))}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function visit(path, work) {
  requests = [];
  failures = [];
  const context = await browser.newContext();
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && !/503/.test(message.text()) && errors.push(message.text()));
  try {
    await page.goto(origin + path);
    await work(page);
    assert.deepEqual(errors, []);
  } finally {
    await context.close();
  }
}

before(async () => {
  if (!executablePath) return;
  server = createServer(serve);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
});

after(async () => {
  await browser?.close();
  server?.close();
});

test('a page view arrives as text/plain without a preflight, and page script cannot see the cookie', options, () =>
  visit('/', async (page) => {
    await eventually('a page view', () => events().length === 1);
    assert.deepEqual([requests[0].method, requests[0].type], ['POST', 'text/plain;charset=UTF-8']);
    assert.equal(events()[0].context.page.path, '/');
    assert.equal(await page.evaluate(() => document.cookie), '');
    await page.evaluate(() => window.tidegate('track', 'Added', { price: 9.5, text: 'ü\u2028</script>' }));
    await eventually('a track event', () => events().length === 2);
    assert.deepEqual(events()[1].properties, { price: 9.5, text: 'ü\u2028</script>' });
    assert.equal(requests[1].cookie, 'tg_vid=v1');
    assert.ok(requests.every((r) => r.method === 'POST'), 'no preflight');
  }));

test('what is tracked in the very moment of leaving arrives', options, () =>
  visit('/', async (page) => {
    await eventually('a page view', () => events().length === 1);
    await page.evaluate(() => {
      document.querySelector('a').addEventListener('click', () => window.tidegate('track', 'Clicked'));
    });
    await page.click('a');
    await eventually('the click and the next page', () => {
      const seen = events().map((e) => e.event ?? e.context.page.path);
      return seen.includes('Clicked') && seen.includes('/next');
    });
    // Chromium fails a request in flight towards the page while it still delivers it, so the beacon
    // may carry the event again: under the same id, which the gateway deduplicates by.
    assert.equal(new Set(events().filter((e) => e.event === 'Clicked').map((e) => e.messageId)).size, 1);
  }));

test('a route change in a single-page site is a page view', options, () =>
  visit('/', async (page) => {
    await page.evaluate(() => history.pushState({}, '', '/pricing'));
    await eventually('two page views', () => events().filter((e) => e.type === 'page').length === 2);
    await page.goBack();
    await eventually('a third one on the way back', () => events().filter((e) => e.type === 'page').length === 3);
    assert.deepEqual(events().filter((e) => e.type === 'page').map((e) => e.context.page.path), ['/', '/pricing', '/']);
  }));

test('an answer 503 is followed by the same events again', options, () =>
  visit('/waiting', async (page) => {
    failures = [503];
    await page.evaluate(() => window.tidegate('consent', true));
    await eventually('the batch after its retry', () => events().length === 1);
    assert.deepEqual(requests.map((r) => r.status), [503, 200]);
    assert.equal(requests[0].batch[0].messageId, requests[1].batch[0].messageId);
  }));

test('nothing leaves before consent', options, () =>
  visit('/waiting', async (page) => {
    await page.evaluate(() => window.tidegate('track', 'Waited'));
    await page.goto(origin + '/next');
    await eventually('the next page, which has consent', () => events().length === 1);
    assert.equal(events()[0].context.page.path, '/next');
  }));
