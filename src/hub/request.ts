/** Requests to a hub: repeated where the network failed, refused with one clear message where the hub did. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileError } from '../errors.ts';
import { huggingFaceHome } from './cache.ts';
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

/** Whether the machine has no connection at all: waiting some seconds does not help. */
function isWithoutNetwork(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return (
    cause instanceof Error && 'code' in cause && ['ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH'].includes(String(cause.code))
  );
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

/** The access token: given, in the environment, or where Hugging Face's tools keep it after a login. */
async function tokenFor({ hub }: Repository, { token, env = process.env }: HubOptions): Promise<string | undefined> {
  const known = token ?? env[hubs[hub].tokenVariable];
  if (known !== undefined || hub !== 'huggingface') return known;
  const file = env['HF_TOKEN_PATH'] ?? join(huggingFaceHome(env), 'token');
  const saved = await readFile(file, 'utf8').catch(() => '');
  return saved.trim() === '' ? undefined : saved.trim();
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
  const { fetch = globalThis.fetch } = options;
  const token = await tokenFor(repository, options);
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  let response: Response;
  try {
    response = await fetch(url, { headers: { 'user-agent': 'fettle', ...authorization, ...headers } });
  } catch (error) {
    const final = new FileError('hub-unreachable', { url, reason: reasonOf(error) }, { cause: error });
    throw isWithoutNetwork(error) ? final : new PassingError(final);
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

/** The address of an answer's next part. Only the hub itself is told the token, so another host's is not asked. */
function nextPart(url: string, link: string | null): string | undefined {
  const next = /<([^>]+)>;\s*rel="next"/.exec(link ?? '')?.[1];
  return next !== undefined && new URL(next, url).origin === new URL(url).origin ? new URL(next, url).href : undefined;
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
        const next = nextPart(url, response.headers.get('link'));
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
