import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Page } from './stub.mjs';

const show = (value) => {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return 'an object that cannot be read';
  }
};
const names = (events) => events.map((e) => e.event ?? e.name ?? e.type);

test('a page view leaves on load, with no preflight and the cookie allowed', async () => {
  const page = new Page().load();
  await page.pass();
  assert.equal(page.requests.length, 1);
  const [{ url, method, headers, credentials, keepalive, body }] = page.requests;
  assert.equal(url, 'https://edge.test/t/v1/events');
  assert.deepEqual([method, headers, credentials, keepalive], ['POST', undefined, 'include', true]);
  assert.equal(body.writeKey, 'demo');
  assert.equal(body.sentAt, '2027-01-15T08:00:00.000Z');
  const [event] = body.batch;
  assert.equal(event.type, 'page');
  assert.equal(event.timestamp, '2027-01-15T08:00:00.000Z');
  assert.deepEqual(event.context.page, {
    url: 'https://shop.test/?utm_source=a',
    path: '/',
    search: '?utm_source=a',
    title: 'Shop',
    referrer: 'https://search.test/',
  });
  assert.deepEqual(event.context.consent, { granted: true });
});

test('a tag at a path of its own sends where the gateway wrote, also behind data-host and as a beacon', async () => {
  const src = 'https://shop.test/assets/site.js';
  const way = '../assets/e';
  for (const [data, expected] of [
    [{ key: 'demo', consent: 'granted' }, 'https://shop.test/assets/e'],
    [{ key: 'demo', consent: 'granted', host: 'https://edge.test' }, 'https://edge.test/assets/e'],
  ]) {
    const page = new Page({ src, way, data }).load();
    await page.pass();
    page.tidegate('track', 'A');
    page.hide();
    const urls = [...page.requests, ...page.beacons].map(({ url }) => new URL(url).href);
    assert.deepEqual(urls, [expected, expected]);
  }
});

test('a batch that was too slow is sent again', async () => {
  const page = new Page({ answers: [408] }).load();
  await page.pass(600_000);
  assert.equal(page.requests.length, 2);
  assert.deepEqual(page.requests[0].body.batch, page.requests[1].body.batch);
});

test('no event ever names an anonymous id', async () => {
  const page = new Page().load();
  page.tidegate('track', 'A');
  page.tidegate('identify', 'u-1', { plan: 'pro' });
  await page.pass();
  assert.equal(page.sent.length, 3);
  for (const event of page.sent) assert.ok(!('anonymousId' in event));
});

test('calls made together travel together and in order', async () => {
  const page = new Page().load();
  page.tidegate('track', 'A', { n: 1 });
  page.tidegate('identify', 7, { plan: 'pro' });
  page.tidegate('track', 'B');
  await page.pass();
  assert.equal(page.requests.length, 1);
  const [view, a, identify, b] = page.sent;
  assert.deepEqual(names([a, identify, b]), ['A', 'identify', 'B']);
  assert.deepEqual(a.properties, { n: 1 });
  assert.deepEqual([view.userId, a.userId, identify.userId, b.userId], [undefined, undefined, '7', '7']);
  assert.deepEqual(identify.traits, { plan: 'pro' });
  assert.equal(new Set(page.sent.map((e) => e.messageId)).size, 4);
});

test('identify takes traits alone', async () => {
  const page = new Page().load();
  page.tidegate('identify', { plan: 'free' });
  await page.pass();
  assert.deepEqual([page.sent[1].userId, page.sent[1].traits], [undefined, { plan: 'free' }]);
});

test('calls made before the script arrived are not lost', async () => {
  const page = new Page();
  const early = () => {};
  early.q = [['track', 'Early', { x: 1 }]];
  page.window.tidegate = early;
  page.load();
  await page.pass();
  assert.deepEqual(names(page.sent), ['page', 'Early']);
});

test('a tag pasted twice counts once', async () => {
  const page = new Page().load().load();
  await page.pass();
  assert.equal(page.sent.length, 1);
});

test('without an answer to the consent question nothing leaves', async () => {
  const page = new Page({ data: { key: 'demo' } }).load();
  page.tidegate('track', 'A');
  await page.pass(60_000);
  page.hide();
  page.fire('pagehide');
  assert.deepEqual([page.requests.length, page.beacons.length], [0, 0]);
});

test('consent given later sends what waited, marked as granted', async () => {
  const page = new Page({ data: { key: 'demo' } }).load();
  await page.pass(500);
  page.tidegate('consent', true);
  await page.pass();
  assert.deepEqual(names(page.sent), ['page']);
  assert.deepEqual(page.sent[0].context.consent, { granted: true });
});

test('a refusal forgets what waited and sends nothing, then or later', async () => {
  const page = new Page({ data: { key: 'demo' } }).load();
  page.tidegate('consent', false);
  page.tidegate('track', 'A');
  await page.pass(60_000);
  page.hide();
  assert.deepEqual([page.requests.length, page.beacons.length], [0, 0]);
  page.tidegate('consent', true);
  page.tidegate('track', 'B');
  await page.pass();
  assert.deepEqual(names(page.sent), ['B']);
});

const unreadable = { get analytics() { throw new Error('the page is broken'); } };
const circular = { analytics: true };
circular.self = circular;

for (const [said, sent] of [
  [true, { granted: true }],
  ['granted', { granted: true }],
  [{ granted: true }, { granted: true }],
  [{ granted: 'granted' }, { granted: 'granted' }],
  [{ analytics: true }, { analytics: true }],
  [{ Analytics: true, ads: false }, { Analytics: true, ads: false }],
  [{ analytics_storage: 'granted', ad_storage: 'denied' }, { analytics_storage: 'granted', ad_storage: 'denied' }],
  [{ necessary: true, statistics: true, marketing: false }, { necessary: true, statistics: true, marketing: false }],
  [{ categoryPreferences: { Analytics: true, Advertising: false } }, { categoryPreferences: { Analytics: true, Advertising: false } }],
  ...[
    false, undefined, null, 0, 1, NaN, '', 'denied', 'false', 'true', 'no', 'yes', 'Granted', 'GRANTED ', [], [true], ['granted'], {}, () => true,
    { granted: false }, { granted: 'denied' }, { granted: 1 }, { granted: 'true' }, { granted: null }, { analytics: false }, { analytics: 'false' },
    { analytics: {} }, { analytics_storage: 'denied', ad_storage: 'granted' }, { granted: true, analytics: false }, { granted: true, analytics: null },
    { ads: true }, { ads: false }, { marketing: 'granted' }, { C0001: true }, { necessary: true, marketing: true }, { statistics: false, marketing: true }, { other: 'denied' },
    { categoryPreferences: { Analytics: false } }, { categoryPreferences: { C0001: true, C0002: false } }, { categoryPreferences: true },
    { analytics: true, categoryPreferences: { Analytics: false } }, { categoryPreferences: null }, unreadable, circular, new Map([['analytics', true]]), new Proxy({}, { ownKeys() { throw 0; } }),
  ].map((said) => [said, undefined]),
]) {
  test(`consent ${show(said)} ${sent ? 'grants' : 'withholds'}`, async () => {
    const page = new Page({ data: { key: 'demo' } }).load();
    page.tidegate('consent', said);
    page.tidegate('track', 'A');
    await page.pass(60_000);
    page.hide();
    assert.deepEqual(page.sent.map((e) => e.context.consent), sent ? [sent, sent, sent] : []);
    assert.equal(page.beacons.length, sent ? 1 : 0, "the page view, A, and by beacon Page Left");
  });
}

test('an answer that withholds takes an earlier grant back', async () => {
  for (const said of ['denied', { analytics: false }, unreadable, undefined]) {
    const page = new Page().load();
    await page.pass();
    page.tidegate('track', 'Unsent');
    page.tidegate('consent', said);
    page.tidegate('track', 'Later');
    await page.pass(60_000);
    page.hide();
    assert.deepEqual([names(page.sent), page.beacons.length], [['page'], 0]);
    page.tidegate('consent', true);
    await page.pass(60_000);
    assert.deepEqual(names(page.sent), ['page'], 'what was forgotten does not come back');
  }
});

test('an answer given before the script arrived counts', async () => {
  for (const [said, count] of [[{ analytics: false }, 0], [{ analytics: true }, 2]]) {
    const page = new Page({ data: { key: 'demo' } });
    page.window.tidegate = Object.assign(() => {}, { q: [['track', 'Early'], ['consent', said]] });
    page.load();
    await page.pass();
    assert.equal(page.sent.length, count);
  }
});

test('consent="source" sends no signal and leaves it to the gateway', async () => {
  const page = new Page({ data: { key: 'demo', consent: 'source' } }).load();
  await page.pass();
  assert.equal(page.sent[0].context.consent, undefined);
});

test('a route change is a page view, referred by the page before it', async () => {
  const page = new Page().load();
  page.window.history.pushState({}, '', '/pricing');
  await page.pass();
  page.window.history.replaceState({}, '', '/pricing#plans');
  await page.pass();
  assert.deepEqual(page.sent.map((e) => e.context.page.path), ['/', '/pricing']);
  assert.equal(page.sent[1].context.page.referrer, 'https://shop.test/?utm_source=a');
});

test('auto="false" leaves page views to the page', async () => {
  const page = new Page({ data: { key: 'demo', consent: 'granted', auto: 'false' } }).load();
  page.window.history.pushState({}, '', '/pricing');
  await page.pass();
  assert.equal(page.sent.length, 0);
  page.tidegate('page', 'Pricing', { plan: 'pro' });
  await page.pass();
  assert.deepEqual([page.sent[0].name, page.sent[0].properties], ['Pricing', { plan: 'pro' }]);
});

test('a page from the back/forward cache is a new view; a fresh one is not counted twice', async () => {
  const page = new Page().load();
  page.fire('pageshow', { persisted: false });
  await page.pass();
  assert.equal(page.sent.length, 1);
  page.fire('pageshow', { persisted: true });
  await page.pass();
  assert.deepEqual(names(page.sent), ['page', 'page']);
});

test('a page rendered ahead is counted when it is shown', async () => {
  const page = new Page();
  page.document.prerendering = true;
  page.load();
  await page.pass(5_000);
  assert.equal(page.requests.length, 0);
  page.fire('prerenderingchange');
  await page.pass();
  assert.equal(page.sent.length, 1);
});

test('only the time a page was visible is reported, once, by beacon', async () => {
  const page = new Page().load();
  await page.pass(4_000);
  page.hide();
  page.fire('pagehide');
  await page.pass(9_000);
  page.show();
  await page.pass(2_000);
  page.hide();
  assert.deepEqual(names(page.beacons.flatMap((b) => b.body.batch)), ['Page Left', 'Page Left']);
  assert.deepEqual(page.beacons.map((b) => b.body.batch[0].properties.visible_ms), [4_000, 2_000]);
});

test('what no request carries yet leaves by beacon when the page goes, and only once', async () => {
  const page = new Page({ answers: ['never'] }).load();
  await page.pass();
  page.tidegate('track', 'Late');
  page.fire('pagehide');
  await page.pass(1_000);
  assert.deepEqual(names(page.sent), ['page', 'Late']);
});

test('a refused beacon keeps its events for the next request', async () => {
  const page = new Page({ data: { key: 'demo', consent: 'granted' } }).load();
  page.beaconTakes = false;
  page.fire('pagehide');
  await page.pass();
  assert.deepEqual(names(page.sent), ['page']);
});

test('one request at a time, so that the second carries the cookie of the first', async () => {
  let release;
  const page = new Page().load();
  const answer = page.answer.bind(page);
  page.answer = (...args) => (release ? answer(...args) : (answer(...args), new Promise((r) => (release = () => r({ status: 200, headers: new Map() })))));
  await page.pass();
  page.tidegate('track', 'A');
  await page.pass(5_000);
  assert.equal(page.requests.length, 1);
  release();
  await page.pass();
  assert.deepEqual(page.requests.map((r) => names(r.body.batch)), [['page'], ['A']]);
});

for (const failure of ['down', 500, 503, 429]) {
  test(`after ${failure} the same batch comes again, with the same ids and a new sent time`, async () => {
    const page = new Page({ answers: [failure] }).load();
    await page.pass(5_000);
    assert.equal(page.requests.length, 2);
    const [first, second] = page.requests.map((r) => r.body);
    assert.deepEqual(second.batch, first.batch);
    assert.ok(second.sentAt >= first.sentAt);
  });
}

for (const status of [200, 204, 400, 401, 413]) {
  test(`after ${status} nothing comes again`, async () => {
    const page = new Page({ answers: [status] }).load();
    await page.pass(600_000);
    assert.equal(page.requests.length, 1);
  });
}

test('Retry-After is the least pause, up to five minutes', async () => {
  const page = new Page({ answers: [{ status: 503, retryAfter: '30' }, { status: 503, retryAfter: '99999' }] }).load();
  await page.pass(29_000);
  assert.equal(page.requests.length, 1);
  await page.pass(1_000);
  assert.equal(page.requests.length, 2);
  await page.pass(299_000);
  assert.equal(page.requests.length, 2);
  await page.pass(1_000);
  assert.equal(page.requests.length, 3);
});

test('a batch is given up after ten sends and the next one goes', async () => {
  const page = new Page({ answers: Array(10).fill(503) }).load();
  await page.pass();
  page.tidegate('track', 'Next');
  await page.pass(6_000_000);
  const carrying = (name) => page.requests.filter((r) => names(r.body.batch).includes(name)).length;
  assert.equal(carrying('page'), 10);
  assert.ok(carrying('Next') >= 1);
});

test('the queue is bounded and the oldest go first', async () => {
  const page = new Page({ data: { key: 'demo', auto: 'false' } }).load();
  for (let n = 0; n < 130; n++) page.tidegate('track', `E${n}`);
  page.tidegate('consent', true);
  await page.pass();
  assert.equal(page.sent.length, 100);
  assert.deepEqual([page.sent[0].event, page.sent[99].event], ['E30', 'E129']);
  for (const { body } of page.requests) assert.ok(body.batch.length <= 25);
});

test('a body stays well below what browsers let keepalive carry', async () => {
  const page = new Page({ data: { key: 'demo', consent: 'granted', auto: 'false' } }).load();
  for (let n = 0; n < 8; n++) page.tidegate('track', 'Big', { text: 'x'.repeat(7_000) });
  await page.pass();
  assert.equal(page.sent.length, 8);
  for (const { body } of page.requests) assert.ok(JSON.stringify(body).length < 25_000);
});

test('nothing is thrown into the page', async () => {
  const page = new Page().load();
  const loop = {};
  loop.self = loop;
  for (const args of [[], ['nonsense'], ['track', 'A', loop], ['track', 'B', { big: 1n }], [Symbol('x')]]) page.tidegate(...args);
  page.window.fetch = () => {
    throw new Error('blocked by an extension');
  };
  await page.pass(100);
  page.window.navigator.sendBeacon = undefined;
  page.fire('pagehide');
  await page.pass(100);
});

test('an object that the page changes afterwards is sent as it was', async () => {
  const page = new Page().load();
  const properties = { price: 1 };
  page.tidegate('track', 'A', properties);
  properties.price = 2;
  await page.pass();
  assert.deepEqual(page.sent[1].properties, { price: 1 });
});

test('a script that is no script element does nothing', () => {
  const page = new Page();
  page.document.currentScript = null;
  page.load();
});

test('one global, and only one', () => {
  const page = new Page();
  const before = Object.getOwnPropertyNames(page.window);
  page.load();
  assert.deepEqual(Object.getOwnPropertyNames(page.window).filter((n) => !before.includes(n)), ['tidegate']);
});
