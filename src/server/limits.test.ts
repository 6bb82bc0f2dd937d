/** Bounds, statuses and several answers at once, on a server with room for little. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../config/index.ts';
import type { CompletionLogprobs } from './answer-text.ts';
import { type RunningServer, startServer } from './index.ts';

let server: RunningServer;
beforeAll(async () => {
  const { config } = parseConfig(
    JSON.stringify({
      model_name_or_path: join(import.meta.dirname, '../../assets/demo/model'),
      served_model_name: 'm',
      port: 0,
      threads: 1,
      max_rows: 3,
      max_waiting: 1,
    }),
    'serve.json',
  );
  server = await startServer(config);
}, 60_000);
afterAll(async () => server.close());

const post = (body: unknown, path = '/v1/completions', signal?: AbortSignal): Promise<Response> =>
  fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
interface Choice {
  readonly index: number;
  readonly text: string;
  readonly finish_reason: string | null;
  readonly logprobs: CompletionLogprobs | null;
  readonly suppressed?: unknown;
}
const choicesOf = async (body: object): Promise<Choice[]> =>
  ((await (await post(body)).json()) as { choices: Choice[] }).choices;
async function streamed(body: object): Promise<Choice[]> {
  const text = await (await post({ ...body, stream: true })).text();
  const parts = text.trim().split('\n\n');
  expect(parts.pop()).toBe('data: [DONE]');
  return parts.flatMap((part) => (JSON.parse(part.slice('data: '.length)) as { choices: Choice[] }).choices);
}

describe('several answers with a stop text', () => {
  const request = { prompt: 'The soup', n: 3, seed: 5, temperature: 1.5, top_p: 1, top_k: 0, max_tokens: 24 };

  it('each ends where it is its turn, the same streamed and at once, and alone', async () => {
    const stop = ['e'];
    const whole = await choicesOf({ ...request, stop, logprobs: 0 });
    expect(whole).toHaveLength(3);
    const free = await choicesOf(request);
    for (const [i, { text, finish_reason: reason }] of whole.entries()) {
      const cut = free[i]!.text.indexOf('e');
      expect(text).toBe(cut < 0 ? free[i]!.text : free[i]!.text.slice(0, cut));
      if (cut >= 0) expect(reason).toBe('stop');
    }
    const parts = await streamed({ ...request, stop, logprobs: 0 });
    for (const { index, text, finish_reason: reason, logprobs } of whole) {
      const own = parts.filter((part) => part.index === index);
      expect(own.map((part) => part.text).join('')).toBe(text);
      expect(own.flatMap((part) => (part.finish_reason === null ? [] : [part.finish_reason]))).toEqual([reason]);
      expect(own.flatMap((part) => part.logprobs?.text_offset ?? [])).toEqual(logprobs!.text_offset);
      expect(own.flatMap((part) => part.logprobs?.tokens ?? [])).toEqual(logprobs!.tokens);
    }
  });

  it('a stream with echo and log-probabilities adds up to the whole answer, those of the prompt first', async () => {
    for (const max_tokens of [0, 4]) {
      const asked = { ...request, max_tokens, echo: true, logprobs: 1 };
      const whole = await choicesOf(asked);
      const parts = await streamed(asked);
      for (const { index, text, logprobs } of whole) {
        const own = parts.filter((part) => part.index === index);
        expect(own.map((part) => part.text).join('')).toBe(text);
        const told = own.flatMap((part) => (part.logprobs ? [part.logprobs] : []));
        for (const key of ['tokens', 'text_offset', 'token_logprobs', 'top_logprobs'] as const) {
          expect(told.flatMap((each): unknown[] => each[key])).toEqual(logprobs![key]);
        }
        expect(told[0]!.token_logprobs[0]).toBeNull();
      }
    }
  });

  it('an answer that a stop text ended still reports what was suppressed', async () => {
    const suppress = [{ text: 'zzz', coefficient: 0.5 }];
    const choices = await choicesOf({ ...request, n: 1, stop: ['e', 'a', 'o'], suppress });
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', suppressed: [{ text: 'zzz' }] });
  });
});

describe('what cannot be done is said with a status, in a stream too', () => {
  it.each([
    [{ n: 4 }, 'n must be at most 3 (max_rows of this server), got 4'],
    [
      { prompt: ['a', 'b', 'c', 'd', 'e'] },
      'a request may have 4 prompts (max_waiting of this server, and what fits into max_rows), got 5',
    ],
    [{ use_beam_search: true, best_of: 4 }, 'beams must have at most 3 rows (max_rows of this server), got 4'],
    [{ use_beam_search: true, n: 3, best_of: 2 }, 'best_of must be at least n (3)'],
    [{ length_penalty: 2 }, 'length_penalty must be 1 without use_beam_search'],
    [{ response_format: { type: 'json_object' } }, 'response_format is not supported'],
    [{ guided_regex: 'a*' }, 'guided_regex is not supported'],
    [{ suffix: 'x' }, 'suffix is not supported'],
    [{ logit_bias: { x: 1 } }, 'logit_bias must be'],
    [{ suppress: [{ text: '' }] }, 'suppress[0].text must be'],
  ])('%j', async (more, message) => {
    for (const stream of [false, true]) {
      const response = await post({ prompt: 'a', max_tokens: 1, stream, ...more });
      expect(response.status).toBe(400);
      const { error } = (await response.json()) as { error: { message: string; type: string } };
      expect(error.message).toContain(message);
      expect(error.type).toBe('invalid_request_error');
    }
  });

  it('too many that wait get 429 before a stream begins', async () => {
    const gone = new AbortController();
    const long = { prompt: 'The', max_tokens: 400, ignore_eos: true, stream: true };
    const responses = await Promise.all(
      Array.from({ length: 12 }, async () => post(long, '/v1/completions', gone.signal)),
    );
    const refused = responses.filter(({ status }) => status === 429);
    // three run and one waits; where some have ended already, others have taken their places
    expect(refused.length).toBeGreaterThan(0);
    expect(responses.every(({ status }) => status === 200 || status === 429)).toBe(true);
    expect(refused[0]!.headers.get('retry-after')).toBe('1');
    expect(((await refused[0]!.json()) as { error: { type: string } }).error.type).toBe('rate_limit_error');
    gone.abort();
    await Promise.allSettled(responses.filter(({ status }) => status === 200).map(async (each) => each.text()));
    // those that left made room
    for (let i = 0; i < 100; i++) {
      const { status } = await post({ prompt: 'The', max_tokens: 1 });
      if (status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error('the rows of clients that have gone are not given back');
  });
});
