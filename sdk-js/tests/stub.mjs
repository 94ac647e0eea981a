// A page without a browser: just enough DOM for dist/tag.js to run in, with hands on its clock,
// its network and its visibility.

import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';

const tag = readFileSync(new URL('../dist/tag.js', import.meta.url), 'utf8');

export class Page {
  /** `data`: the script's data attributes. `answers`: status, or {status, retryAfter}, or 'down', in order; then 200.
   *  `src`: where the script came from. `way`: what the gateway wrote into it in place of `v1/events`. */
  constructor({ data = { key: 'demo', consent: 'granted' }, answers = [], url = 'https://shop.test/?utm_source=a#token', src = 'https://edge.test/t/tag.js', way = 'v1/events' } = {}) {
    this.way = way;
    this.listeners = {};
    this.requests = [];
    this.beacons = [];
    this.timers = [];
    this.now = 1_800_000_000_000;
    this.answers = answers;
    this.location = new URL(url);
    this.document = {
      title: 'Shop',
      referrer: 'https://search.test/',
      visibilityState: 'visible',
      currentScript: { dataset: data, src },
    };
    this.beaconTakes = true;
    const page = this;
    const at = (url) => (page.location = new URL(url, page.location));
    this.window = {
      document: this.document,
      navigator: { language: 'en-US', sendBeacon: (url, body) => this.beaconTakes && !!this.beacons.push({ url, body: JSON.parse(body) }) },
      crypto,
      history: { pushState: (_s, _t, url) => at(url), replaceState: (_s, _t, url) => at(url) },
      addEventListener: (name, run) => (this.listeners[name] ??= []).push(run),
      setTimeout: (run, ms = 0) => this.timers.push({ run, at: this.now + ms }),
      fetch: (url, init) => this.answer(url, init),
      Date: class extends Date {
        constructor() {
          super(page.now);
        }
        static now() {
          return page.now;
        }
      },
    };
    this.window.window = this.window;
    Object.defineProperty(this.window, 'location', { get: () => this.location });
    createContext(this.window);
  }

  /** Runs the tag, as the browser does when the script arrives. */
  load() {
    runInContext(tag.replace('v1/events', this.way), this.window);
    return this;
  }

  tidegate(...args) {
    this.window.tidegate(...args);
  }

  fire(name, event = {}) {
    for (const run of this.listeners[name] ?? []) run(event);
  }

  hide() {
    this.document.visibilityState = 'hidden';
    this.fire('visibilitychange');
  }

  show() {
    this.document.visibilityState = 'visible';
    this.fire('visibilitychange');
  }

  async answer(url, init) {
    this.requests.push({ url, ...init, at: this.now, body: JSON.parse(init.body) });
    const answer = this.answers.shift() ?? 200;
    if (answer === 'down') throw new TypeError('network');
    if (answer === 'never') return new Promise(() => {});
    const { status = answer, retryAfter } = answer;
    return { status, headers: { get: (name) => (name === 'retry-after' ? (retryAfter ?? null) : null) } };
  }

  /** Lets `ms` pass: timers run in order, promises settle after each. */
  async pass(ms = 0) {
    const end = this.now + ms;
    for (;;) {
      await new Promise(setImmediate);
      this.timers.sort((a, b) => a.at - b.at);
      if (!this.timers.length || this.timers[0].at > end) break;
      const timer = this.timers.shift();
      this.now = Math.max(this.now, timer.at);
      timer.run();
    }
    this.now = end;
  }

  /** Every event that left, in order, by whatever way. */
  get sent() {
    return [...this.requests, ...this.beacons].flatMap(({ body }) => body.batch);
  }
}
