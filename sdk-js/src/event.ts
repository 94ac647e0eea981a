// Makes one event. The message id is what the gateway deduplicates by, so a batch may be sent twice.

import { State, signal, state } from './consent';
import { userId } from './identity';
import type { Event, Fields, Page } from './wire';

export function make(
  type: Event['type'],
  name: string | undefined,
  fields: Fields | undefined,
  page: Page,
): Event {
  const event: Event = {
    type,
    // Not randomUUID: that one is missing on plain-http pages.
    messageId: crypto.getRandomValues(new Uint32Array(4)).join('-'),
    timestamp: new Date().toISOString(),
    userId,
    context: {
      page,
      locale: navigator.language,
      library: { name: 'tidegate-tag', version: '0.1.0' },
    },
  };
  event[type == 'page' ? 'name' : 'event'] = name;
  // A copy: the page may change its object, and what cannot be sent must fail here, in the caller's turn.
  event[type == 'identify' ? 'traits' : 'properties'] = fields && JSON.parse(JSON.stringify(fields));
  return event;
}

/** Says what the visitor answered, at the time of sending. */
export function stamp(event: Event): Event {
  if (state == State.Granted) event.context.consent = signal;
  return event;
}
