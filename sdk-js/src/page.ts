// Which page the visitor is on, when it changes, and how long it was really looked at.

import { make } from './event';
import { Limit } from './limit';
import { leave, push } from './queue';
import type { Fields, Page } from './wire';

type Safely = <A extends unknown[]>(work: (...args: A) => unknown) => (...args: A) => void;

let current: Page | undefined;
let shown = 0;

export function here(): Page {
  const { pathname: path, search, href } = location;
  return {
    // Without the fragment: it is never sent to a server by the browser, and may hold a token.
    url: href.split('#')[0]!,
    path,
    search,
    title: document.title,
    referrer: document.referrer,
  };
}

export function view(name?: string, properties?: Fields): void {
  leaving();
  const last = current;
  current = here();
  if (last && last.url != current.url) current.referrer = last.url;
  push(make('page', name, properties, current));
}

/** "Page Left", with the visible time since the last one: the sum over a page is its total. */
function leaving(): void {
  const visible_ms = shown && Date.now() - shown;
  shown = document.visibilityState == 'hidden' ? 0 : Date.now();
  if (current && visible_ms > Limit.VisibleMs) {
    push(make('track', 'Page Left', { visible_ms }, current));
  }
}

function hidden(): void {
  leaving();
  if (!shown) leave();
}

function moved(): void {
  const { pathname, search } = location;
  if (!current || current.path != pathname || current.search != search) view();
}

export function start(auto: boolean, safely: Safely): void {
  addEventListener('visibilitychange', safely(hidden), true);
  // Safari does not fire visibilitychange each time a page is left.
  addEventListener('pagehide', safely(() => (leaving(), leave())));
  if (!auto) return;
  const later = safely(() => setTimeout(safely(moved)));
  addEventListener('popstate', later);
  for (const name of ['pushState', 'replaceState'] as const) {
    const original = history[name];
    history[name] = function (this: History, ...args) {
      original.apply(this, args);
      later();
    };
  }
  // A page back from the back/forward cache is a new view and runs no script of its own.
  addEventListener('pageshow', safely((e: PageTransitionEvent) => e.persisted && view()));
  view();
}
