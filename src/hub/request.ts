/** Requests to a hub: repeated where the network failed, refused with one clear message where the hub did. */
import { FileError } from '../errors.ts';
import { type HubOptions, hubs, type Repository } from './hub.ts';

/** Attempts of one request: enough for a short outage. */
const maxAttempts = 4;
const defaultRetryDelayMs = 1000;
/** Answers that are no files are lists of at most some MB. */
const maxAnswerBytes = 64 * 1024 * 1024;

const passing = new Set([408, 425, 429, 500, 502, 503, 504]);

async function wait(ms: number): Promise<void> {
  await new Promise((resolve) => void setTimeout(resolve, ms));
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message.split('\n')[0]! : String(cause);
}

/** Runs `attempt` again where it failed in a way that may pass. */
export async function repeatedly<T>(
  options: HubOptions,
  attempt: () => Promise<T>,
  mayPass: (error: unknown) => boolean,
): Promise<T> {
  for (let count = 1; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      if (count === maxAttempts || !mayPass(error)) throw error;
      await wait((options.retryDelayMs ?? defaultRetryDelayMs) * 2 ** (count - 1));
    }
  }
}

/** An error of the network or the hub that may pass. */
export class PassingError extends Error {
  readonly final: FileError;
  constructor(final: FileError) {
    super(final.message);
    this.final = final;
  }
}

/**
 * Asks a hub once.
 * @throws PassingError where asking again may help; FileError `hub-missing`, `hub-access`, `hub-status`.
 */
export async function ask(
  url: string,
  repository: Repository,
  options: HubOptions,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const { title, tokenVariable } = hubs[repository.hub];
  const { fetch = globalThis.fetch, env = process.env } = options;
  const token = options.token ?? env[tokenVariable];
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  let response: Response;
  try {
    response = await fetch(url, { headers: { 'user-agent': 'fettle', ...authorization, ...headers } });
  } catch (error) {
    throw new PassingError(new FileError('hub-unreachable', { url, reason: reasonOf(error) }, { cause: error }));
  }
  if (response.ok || response.status === 416) return response;
  await response.body?.cancel();
  const { name, kind } = repository;
  const { status } = response;
  if (status === 401 || status === 403)
    throw new FileError('hub-access', { hub: title, name, status, variable: tokenVariable });
  if (status === 404)
    throw new FileError('hub-missing', {
      hub: title,
      kind: kind === 'model' ? 'model' : 'data set',
      name,
      what: kind === 'model' ? 'model or file' : 'data set or file',
    });
  const error = new FileError('hub-status', { url, status });
  throw passing.has(status) ? new PassingError(error) : error;
}

/** Takes the wrapping off an error that did not pass. */
export async function finally_<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof PassingError ? error.final : error;
  }
}

/** An answer in JSON and the address of its next part, where it has one. */
export async function askJson(
  url: string,
  repository: Repository,
  options: HubOptions,
): Promise<{ value: unknown; next: string | undefined }> {
  return finally_(
    repeatedly(
      options,
      async () => {
        const response = await ask(url, repository, options);
        const next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
        let answer: string;
        try {
          answer = await response.text();
        } catch (error) {
          throw new PassingError(new FileError('hub-unreachable', { url, reason: reasonOf(error) }, { cause: error }));
        }
        const isTooLong = answer.length > maxAnswerBytes;
        try {
          if (!isTooLong) return { value: JSON.parse(answer) as unknown, next };
        } catch {
          // Said below.
        }
        throw new FileError('hub-answer', {
          url,
          requirement: 'JSON',
          actual: isTooLong ? `${answer.length} bytes` : JSON.stringify(answer.slice(0, 60)),
        });
      },
      (error) => error instanceof PassingError,
    ),
  );
}

export { reasonOf };
