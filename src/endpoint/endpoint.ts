/**
 * The client of OpenAI-compatible chat servers, over plain fetch: many requests at once, repeated where that may help,
 * slowed down where the server asks for it, and never asked twice what the journal holds. The key goes into one header and
 * nowhere else.
 */
import { setMaxListeners } from 'node:events';
import { BackendError, ConfigError } from '../errors.ts';
import { errorCode, parseChatAnswer } from './answer.ts';
import { type ChatAnswer, type ChatRequest, messagesKey, requestKey } from './chat.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Journal } from './journal.ts';
import { Pace } from './pace.ts';
import { fieldsOf, type Provider, type ProviderName, providers } from './providers.ts';
import { requestedWaitMs } from './rate-limit.ts';
import { Account, type Price, type Spending } from './spending.ts';

/** Requests under way at once where nothing else was said: gentle to a local server, and no bottleneck for a judge. */
export const defaultConcurrency = 8;
/** Long answers of slow servers take this long at most. */
export const defaultTimeoutMs = 120_000;
/** How often a request is sent before its failure counts. */
const maxTries = 6;
const firstDelayMs = 500;
const longestDelayMs = 8_000;
/** A server that asks for a longer pause (a daily limit) is not waited for: the same command goes on later. */
const longestPauseMs = 10 * 60_000;
/** Longer bodies are no answers: 16 MB of text are millions of tokens. */
const maxBodyBytes = 16 * 1024 * 1024;
/** How much of a provider's refusal is shown. */
const maxShown = 300;

/** How a server is reached. */
export interface EndpointOptions {
  /** Names whose answers these are; it is part of every key in the journal. */
  readonly scope: string;
  readonly provider?: ProviderName | undefined;
  /** Up to and with `/v1`; left out: the provider's. */
  readonly baseUrl?: string | undefined;
  /** Left out: from the provider's environment variable. */
  readonly apiKey?: string | undefined;
  /** Environment variable of the key in place of the provider's. */
  readonly keyVariable?: string | undefined;
  readonly concurrency?: number | undefined;
  readonly timeoutMs?: number | undefined;
  readonly price?: Price | undefined;
  readonly journal?: Journal | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
  readonly clock?: Clock | undefined;
  /** Uniform in [0, 1), for the jitter of delays. */
  readonly random?: (() => number) | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/** An answer, and where it stands in the journal. */
export interface KeyedAnswer extends ChatAnswer {
  readonly key: string;
}

/** A server that can be asked. */
export interface Endpoint {
  readonly url: string;
  /**
   * Asks once; a question that is under way or in the journal is not asked again. `signal` stops what waits; a request
   * under way is finished and written down, as it is paid for.
   * @throws BackendError `endpoint-refused`, `endpoint-unreachable`, `endpoint-answer`, `endpoint-pause`; the signal's reason.
   */
  ask(request: ChatRequest, signal?: AbortSignal): Promise<KeyedAnswer>;
  readonly spending: Spending;
}

/** A failure that may pass, and how long to wait at least. */
interface Passing {
  readonly error: BackendError;
  readonly waitMs?: number | undefined;
  readonly isThrottled: boolean;
}

const passingStatuses: ReadonlySet<number> = new Set([408, 409, 429]);

function chatUrl(baseUrl: string): URL | undefined {
  let url: URL;
  try {
    url = new URL(`${baseUrl.replace(/\/+$/, '')}/chat/completions`);
  } catch {
    return undefined;
  }
  const isPlain = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  return isPlain && /^https?:$/.test(url.protocol) ? url : undefined;
}

/** Reads a body up to a bound; undefined where it is longer. */
async function readBody(response: Response): Promise<string | undefined> {
  if (response.body === null) return '';
  const decoder = new TextDecoder();
  let [text, bytes] = ['', 0];
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const text = cause instanceof Error ? cause.message || cause.name : String(cause);
  return text.split('\n')[0]!;
}

/**
 * Opens a server for asking; nothing is sent yet.
 * @throws ConfigError `endpoint-url`, `endpoint-key-missing`
 */
export function openEndpoint(options: EndpointOptions): Endpoint {
  return new ChatEndpoint(options);
}

class ChatEndpoint implements Endpoint {
  readonly url: string;
  private readonly options: EndpointOptions;
  private readonly provider: Provider;
  private readonly apiKey: string | undefined;
  private readonly keyVariable: string;
  private readonly clock: Clock;
  private readonly pace: Pace;
  private readonly account: Account;
  private readonly underWay = new Map<string, Promise<KeyedAnswer>>();

  constructor(options: EndpointOptions) {
    const { scope, provider = 'compatible', env = process.env } = options;
    this.options = options;
    this.provider = providers[provider];
    const baseUrl = options.baseUrl ?? this.provider.baseUrl;
    const url = baseUrl === undefined ? undefined : chatUrl(baseUrl);
    if (url === undefined) {
      // An address with a password in it is not repeated.
      const actual = baseUrl === undefined ? 'none' : baseUrl.replace(/\/\/[^/@]*@/, '//***@');
      throw new ConfigError('endpoint-url', { scope, actual });
    }
    this.url = url.href;
    this.keyVariable = options.keyVariable ?? this.provider.keyVariable;
    const key = options.apiKey ?? env[this.keyVariable];
    this.apiKey = key === undefined || key.trim() === '' ? undefined : key.trim();
    const isNamed = options.keyVariable !== undefined;
    if (this.apiKey === undefined && (isNamed || !this.provider.keyOptional)) {
      throw new ConfigError('endpoint-key-missing', { scope, url: this.url, variable: this.keyVariable });
    }
    this.clock = options.clock ?? systemClock;
    this.pace = new Pace(options.concurrency ?? defaultConcurrency, this.clock);
    this.account = new Account(options.price);
  }

  get spending(): Spending {
    return this.account.spending;
  }

  async ask(request: ChatRequest, signal?: AbortSignal): Promise<KeyedAnswer> {
    // as many requests as the caller likes wait on one signal: Node's warning of a leak would be wrong
    if (signal !== undefined) setMaxListeners(0, signal);
    const key = requestKey(this.options.scope, request);
    const remembered = this.options.journal?.get(key);
    if (remembered !== undefined) {
      this.account.answered(remembered.usage, true);
      return remembered;
    }
    let answer = this.underWay.get(key);
    if (answer === undefined) {
      answer = this.askAnew(key, request, signal).finally(() => this.underWay.delete(key));
      this.underWay.set(key, answer);
    }
    return answer;
  }

  private async askAnew(key: string, request: ChatRequest, signal: AbortSignal | undefined): Promise<KeyedAnswer> {
    const body = JSON.stringify(this.bodyOf(request));
    for (let tries = 1; ; tries++) {
      const place = await this.pace.enter(signal);
      let outcome: ChatAnswer | Passing;
      try {
        outcome = await this.send(body);
        if ('error' in outcome) {
          if (outcome.isThrottled) this.pace.throttled(place);
          if (outcome.waitMs !== undefined) this.pause(outcome.waitMs);
        } else {
          this.pace.succeeded();
          // Written down before it is used, and before another request may begin.
          const asked = messagesKey(request.messages);
          await this.options.journal?.append({ key, scope: this.options.scope, asked, ...outcome });
          this.account.answered(outcome.usage, false);
        }
      } finally {
        this.pace.leave();
      }
      if (!('error' in outcome)) return { key, ...outcome };
      if (tries === maxTries) throw outcome.error;
      await this.clock.sleep(this.delayMs(tries), signal);
    }
  }

  /** Half of the delay is certain, half is drawn, so that many clients do not come back at one moment. */
  private delayMs(tries: number): number {
    const delay = Math.min(longestDelayMs, firstDelayMs * 2 ** (tries - 1));
    return delay * (0.5 + 0.5 * (this.options.random ?? Math.random)());
  }

  private pause(ms: number): void {
    if (ms > longestPauseMs) throw new BackendError('endpoint-pause', { url: this.url, seconds: Math.ceil(ms / 1000) });
    this.pace.pause(ms);
  }

  private bodyOf(request: ChatRequest): Readonly<Record<string, unknown>> {
    const { model, messages, maxTokens, temperature, topP, seed, stop, extra } = request;
    const fields = fieldsOf(this.provider, model);
    return {
      model,
      messages,
      [fields.maxTokens]: maxTokens,
      ...(fields.temperature && temperature !== undefined ? { temperature } : {}),
      ...(fields.topP && topP !== undefined ? { top_p: topP } : {}),
      ...(fields.seed && seed !== undefined ? { seed } : {}),
      ...(stop === undefined ? {} : { stop }),
      ...extra,
    };
  }

  /** Sends one request. What may pass comes back, what may not is thrown. */
  private async send(body: string): Promise<ChatAnswer | Passing> {
    const { timeoutMs = defaultTimeoutMs } = this.options;
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
    this.account.sent();
    try {
      const response = await (this.options.fetch ?? globalThis.fetch)(this.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'fettle',
          ...(this.apiKey === undefined ? {} : { authorization: `Bearer ${this.apiKey}` }),
        },
        body,
        // A redirect would carry the question, and may carry the key, to another host.
        redirect: 'manual',
        signal: controller.signal,
      });
      return this.read(response, await readBody(response));
    } catch (error) {
      if (error instanceof BackendError) throw error;
      const reason = this.withoutKey(reasonOf(controller.signal.aborted ? controller.signal.reason : error));
      const failure = new BackendError('endpoint-unreachable', { url: this.url, reason }, { cause: error });
      return { error: failure, isThrottled: false };
    } finally {
      clearTimeout(timer);
    }
  }

  private read(response: Response, body: string | undefined): ChatAnswer | Passing {
    const { status, headers } = response;
    const waitMs = requestedWaitMs(headers, this.clock.now());
    if (status === 200) {
      const answer = body === undefined ? undefined : parseChatAnswer(body);
      if (answer !== undefined) {
        if (waitMs !== undefined) this.pace.pause(Math.min(waitMs, longestPauseMs));
        return answer;
      }
      const actual = body === undefined ? `more than ${maxBodyBytes} bytes` : this.shown(body);
      return { error: new BackendError('endpoint-answer', { url: this.url, actual }), isThrottled: false };
    }
    const shown = body === undefined ? '' : this.shown(body);
    const error = new BackendError('endpoint-refused', {
      url: this.url,
      status,
      body: shown,
      variable: this.keyVariable,
    });
    const hopeless = body !== undefined && this.provider.hopelessCodes.includes(errorCode(body) ?? '');
    const mayPass = passingStatuses.has(status) || status >= 500;
    if (!mayPass || hopeless) throw error;
    return { error, waitMs, isThrottled: status === 429 };
  }

  /** The beginning of a provider's words; a server that repeats the key must not bring it to a screen or a log. */
  private shown(body: string): string {
    const text = this.withoutKey(body).replace(/\s+/g, ' ').trim();
    return text.length > maxShown ? `${text.slice(0, maxShown)}...` : text;
  }

  private withoutKey(text: string): string {
    return this.apiKey === undefined ? text : text.replaceAll(this.apiKey, '***');
  }
}
