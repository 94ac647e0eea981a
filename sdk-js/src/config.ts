// What the page's own <script> element says: where to send, as whom, and whether to wait.

export type Config = { url: string; key: string; consent: string; auto: boolean };

export function read(script: HTMLScriptElement): Config {
  const data = script.dataset;
  return {
    // Next to the script, so that a path prefix or a first-party host needs no second setting.
    url: (data.host ? data.host + '/' : script.src.replace(/[^/]*$/, '')) + 'v1/events',
    key: data.key || '',
    consent: data.consent || 'wait',
    auto: data.auto != 'false',
  };
}
