// Everything the tag may use up in a visitor's browser.

export const enum Limit {
  /** Events waiting; the oldest go first. */
  QueueEvents = 100,
  /** Events in one request. */
  BatchEvents = 25,
  /** Characters of one body: browsers refuse more than 64 KiB of keepalive bodies in flight. */
  BodyChars = 20_000,
  /** Sends of one batch before it is given up. */
  Tries = 10,
  /** First pause after a failure; doubles each time. */
  RetryMs = 1_000,
  /** Longest pause, whatever `Retry-After` says. */
  RetryMaxMs = 300_000,
  /** Visits shorter than this are not worth a "Page Left". */
  VisibleMs = 1_000,
}
