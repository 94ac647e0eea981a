// Whether events may leave the page. Global Privacy Control is the browser's own header and the
// gateway's business; this is only what the site has asked its visitor.

import type { Json } from './wire';

export const enum State {
  /** No answer yet: events wait in memory. */
  Wait,
  /** Send, with the visitor's answer. */
  Granted,
  /** Send without a signal: the source's `consent_default` decides. */
  Source,
  /** Send nothing, keep nothing. */
  Denied,
}

export let state = State.Wait;
/** The answer as it travels with each event. */
export let signal: Json = { granted: true };

export function start(word: string): void {
  state = word == 'granted' ? State.Granted : word == 'source' ? State.Source : State.Wait;
}

/** Grants for `true`, `'granted'` and an object that grants analytics; withholds for all else. */
export function answer(said: unknown): void {
  // First, so that an object that cannot be read withholds too.
  state = State.Denied;
  const yes = granted(said);
  if (!yes && !allows(said)) return;
  signal = yes ? { granted: true } : JSON.parse(JSON.stringify(said));
  state = State.Granted;
}

const granted = (word: unknown) => word === true || word === 'granted';

/** Analytics is named and granted. A denial of advertising alone is the gateway's to honour. */
function allows(said: unknown): boolean {
  if (!said || typeof said != 'object') return false;
  const nested = (said as { categoryPreferences?: object }).categoryPreferences;
  const words = [...Object.entries(said), ...Object.entries(nested || {})]
    .filter(([purpose]) => /^(granted|analytics(_storage)?|statistics)$/i.test(purpose))
    .map(([, word]) => word);
  return words.length > 0 && words.every(granted);
}
