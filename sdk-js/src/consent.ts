// Whether events may leave the page. Global Privacy Control is the browser's own header and the
// gateway's business; this is only what the site has asked its visitor.

export const enum State {
  /** No answer yet: events wait in memory. */
  Wait,
  /** Send, and say that consent was given. */
  Granted,
  /** Send without a signal: the source's `consent_default` decides. */
  Source,
  /** Send nothing, keep nothing. */
  Denied,
}

export let state = State.Wait;

export function start(word: string): void {
  state = word == 'granted' ? State.Granted : word == 'source' ? State.Source : State.Wait;
}

export function answer(granted: boolean): void {
  state = granted ? State.Granted : State.Denied;
}
