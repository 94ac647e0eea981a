// Two ways out: `fetch` with keepalive while the page lives, `sendBeacon` when it goes. Both as
// text/plain with the key in the body, which needs no preflight.

import type { Batch, Event } from './wire';

let url: string;
let writeKey: string;

export function start(to: string, key: string): void {
  url = to;
  writeKey = key;
}

/** Undefined when the batch is done with; else the least pause in ms before it is sent again. */
export async function post(batch: Event[]): Promise<number | undefined> {
  try {
    const { status, headers } = await fetch(url, {
      method: 'POST',
      body: body(batch),
      credentials: 'include',
      keepalive: true,
    });
    // Any other answer is final: the same bytes would be refused again.
    if (status != 429 && status != 408 && status < 500) return;
    return Number(headers.get('retry-after')) * 1e3 || 0;
  } catch {
    return 0;
  }
}

export function beacon(batch: Event[]): boolean {
  return navigator.sendBeacon(url, body(batch));
}

function body(batch: Event[]): string {
  const whole: Batch = { batch, writeKey, sentAt: new Date().toISOString() };
  return JSON.stringify(whole);
}
