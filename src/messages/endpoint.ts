/** Texts about servers that are asked over HTTP, and about the journal of their answers. */

const remedies: Readonly<Record<number, string>> = {
  401: 'Check the API key',
  403: 'Check the API key and what it may use',
  404: 'Check base_url (it ends with /v1) and the name of the model',
  429: 'Its limit is used up: run the same command again later, what was answered is kept',
};

export const endpointMessages = {
  'endpoint-url': (f: { scope: string; actual: string }) =>
    `${f.scope}: base_url must be an address such as http://127.0.0.1:8000/v1, without name, password or query, got ${f.actual}`,
  'endpoint-key-missing': (f: { scope: string; url: string; variable: string }) =>
    `${f.scope}: an API key for ${f.url} must be given, got none. Set the environment variable ${f.variable}`,
  'endpoint-refused': (f: { url: string; status: number; body: string; variable: string }) => {
    const remedy = remedies[f.status];
    const named = f.status === 401 ? ` (environment variable ${f.variable})` : '';
    return `${f.url}: must answer with status 200, got ${f.status}${f.body === '' ? '' : ` and ${JSON.stringify(f.body)}`}${
      remedy === undefined ? '' : `. ${remedy}${named}`
    }`;
  },
  'endpoint-unreachable': (f: { url: string; reason: string }) =>
    `${f.url}: must answer, got ${f.reason}. Run the same command again to go on: what was answered is kept`,
  'endpoint-answer': (f: { url: string; actual: string }) =>
    `${f.url}: must answer with a chat completion in JSON, got ${f.actual === '' ? 'an empty body' : JSON.stringify(f.actual)}`,
  'endpoint-pause': (f: { url: string; seconds: number }) =>
    `${f.url}: must be ready within 10 minutes, got a request to wait for ${f.seconds} s. Run the same command again then: what was answered is kept`,
  'journal-line': (f: { file: string; line: number }) =>
    `${f.file}:${f.line}: must be an answer with key, scope and text, got another line. Take it out: what it held is asked again`,
};
