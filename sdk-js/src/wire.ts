// What goes over the wire: the Segment spec's event, and the batch around it.
// Types only; nothing here ends up in the bundle.

export type Json = string | number | boolean | null | undefined | Json[] | { [key: string]: Json };
export type Fields = { [key: string]: Json };

export type Page = {
  url: string;
  path: string;
  search: string;
  title: string;
  referrer: string;
};

export type Event = {
  type: 'track' | 'page' | 'identify';
  messageId: string;
  timestamp: string;
  event?: string | undefined;
  name?: string | undefined;
  userId?: string | undefined;
  properties?: Fields | undefined;
  traits?: Fields | undefined;
  context: {
    page: Page;
    locale: string;
    library: { name: string; version: string };
    consent?: Json;
  };
};

// No anonymousId anywhere: the visitor is the HttpOnly cookie that the gateway sets. A page's
// script can neither read nor forge it, and browsers that cap script-written cookies leave it be.
export type Batch = { batch: Event[]; writeKey: string; sentAt: string };
