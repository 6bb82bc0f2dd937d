/** Texts about the server. */
export const serverMessages = {
  'engine-broken': (f: { reason: string }) => `the engine process has ended: ${f.reason}`,
  'engine-refused': (f: { reason: string }) => f.reason,
  'port-taken': (f: { host: string; port: number; reason: string }) =>
    `host ${f.host}, port ${f.port}: must be free to listen on, got ${f.reason}. Set port to another one, or 0 for any free one`,
};

/** What `fettle serve` prints. */
export const serveTexts = {
  opening: (model: string) => `opening ${model}`,
  listening: (url: string, model: string) => `serving ${model} at ${url}/v1 (Ctrl-C ends)`,
  open: 'anybody who reaches this address may ask: set api_key or FETTLE_API_KEY',
  died: (what: string, again: boolean) =>
    again
      ? `the engine has ended (${what}): it is started again`
      : `the engine has ended again (${what}): requests are refused`,
  ready: 'the engine is ready again',
};
