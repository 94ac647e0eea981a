// Events on their way: bounded, in order, one request at a time. One at a time because the first
// answer brings the visitor's cookie: two first requests side by side would be two visitors.

import { State, state } from './consent';
import { stamp } from './event';
import { Limit } from './limit';
import { beacon, post } from './transport';
import type { Event } from './wire';

let waiting: Event[] = [];
let tries = 0;
let flying = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

export function push(event: Event): void {
  if (state == State.Denied) return;
  waiting.push(event);
  if (waiting.length > Limit.QueueEvents) waiting.splice(flying, 1);
  // After the current task, so that calls made together travel together.
  if (!timer && !flying) timer = setTimeout(flush);
}

export function stop(): void {
  waiting = [];
  tries = 0;
}

export function flush(): void {
  timer = undefined;
  if (flying || state == State.Wait) return;
  const sent = take();
  if (!sent.length) return;
  flying = sent.length;
  post(sent).then((pause) => {
    flying = 0;
    const done = pause == null || ++tries >= Limit.Tries;
    if (done) {
      drop(sent);
      tries = 0;
    }
    if (waiting.length) timer = setTimeout(flush, done ? 0 : delay(pause));
  });
}

/** The page may be gone after this: hand over everything that no request carries yet. */
export function leave(): void {
  if (state == State.Wait) return;
  for (let sent = take(); sent.length && beacon(sent); sent = take()) drop(sent);
}

function take(): Event[] {
  const out: Event[] = [];
  let chars = 0;
  for (const event of waiting.slice(flying, flying + Limit.BatchEvents)) {
    chars += JSON.stringify(stamp(event)).length;
    if (out.length && chars > Limit.BodyChars) break;
    out.push(event);
  }
  return out;
}

function drop(sent: Event[]): void {
  waiting = waiting.filter((event) => !sent.includes(event));
}

function delay(pause: number | undefined): number {
  // Full pause at least where the gateway named one; spread, so that a crowd does not come back at once.
  return Math.min(Math.max(pause || 0, Limit.RetryMs * 2 ** tries * Math.random()), Limit.RetryMaxMs);
}
