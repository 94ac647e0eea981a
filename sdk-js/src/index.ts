// The one global, `tidegate(command, ...)`, and the order in which the parts start.
// Whatever goes wrong in here stays in here: the page never sees an exception.

import { read } from './config';
import * as consent from './consent';
import { make } from './event';
import * as identity from './identity';
import * as page from './page';
import * as queue from './queue';
import * as transport from './transport';
import type { Fields } from './wire';

type Command = (...args: never[]) => void;
type Global = { (...args: unknown[]): void; q?: ArrayLike<unknown>[]; on?: true };

const commands: { [name: string]: Command } = {
  track(name: string, properties?: Fields) {
    queue.push(make('track', name, properties, page.here()));
  },
  page: page.view,
  identify(id: unknown, traits?: Fields) {
    if (id && typeof id == 'object') traits = id as Fields;
    else identity.set(id);
    queue.push(make('identify', undefined, traits, page.here()));
  },
  consent(said: unknown) {
    try {
      consent.answer(said);
    } finally {
      consent.state == consent.State.Granted ? queue.flush() : queue.stop();
    }
  },
};

function safely<A extends unknown[]>(work: (...args: A) => unknown) {
  return (...args: A): void => {
    try {
      work(...args);
    } catch {
      // Nothing to tell: the page is not ours.
    }
  };
}

const run: Global = safely((name: unknown, ...args: unknown[]) => {
  commands[name as string]!(...(args as never[]));
});

safely((script: HTMLScriptElement) => {
  const global = window as unknown as { tidegate?: Global };
  const before = global.tidegate;
  // Pasted twice is counted once.
  if (before && before.on) return;
  run.on = true;
  global.tidegate = run;
  const config = read(script);
  consent.start(config.consent);
  transport.start(config.url, config.key);
  const start = safely(() => {
    page.start(config.auto, safely);
    for (const call of (before && before.q) || []) run(...Array.from(call));
  });
  // A page that is only rendered ahead has no visitor yet.
  if ((document as { prerendering?: boolean }).prerendering) {
    addEventListener('prerenderingchange', start, { once: true });
  } else start();
})(document.currentScript as HTMLScriptElement);
