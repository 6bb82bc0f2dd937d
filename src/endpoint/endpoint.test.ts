import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type ChatRequest, messagesKey, requestKey } from './chat.ts';
import type { Clock } from './clock.ts';
import { type Endpoint, type EndpointOptions, openEndpoint } from './endpoint.ts';
import { openJournal } from './journal.ts';
import { Pace } from './pace.ts';
import { parseDuration, requestedWaitMs } from './rate-limit.ts';
import { type MockServer, startMockServer } from './mock-server.fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'fettle-endpoint-'));
const servers: MockServer[] = [];
afterAll(async () => {
  await Promise.all(servers.map(async (server) => server.close()));
  rmSync(folder, { recursive: true, force: true });
});

async function serve(...args: Parameters<typeof startMockServer>): Promise<MockServer> {
  const server = await startMockServer(...args);
  servers.push(server);
  return server;
}

/** A clock on which sleeping takes no time but is written down. */
function skippingClock(): Clock & { readonly slept: number[] } {
  let now = Date.parse('2026-01-01T00:00:00Z');
  const slept: number[] = [];
  return {
    slept,
    now: () => now,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      slept.push(ms);
      now += ms;
    },
  };
}

const question = (text: string, more: Partial<ChatRequest> = {}): ChatRequest => ({
  model: 'm',
  messages: [{ role: 'user', content: text }],
  maxTokens: 16,
  ...more,
});

function open(server: MockServer, more: Partial<EndpointOptions> = {}): Endpoint {
  return openEndpoint({ scope: 's', baseUrl: server.baseUrl, env: {}, random: () => 1, ...more });
}

describe('asking', () => {
  test('sends what the provider takes, and reads text, end, tokens and thoughts', async () => {
    const server = await serve(() => ({ text: 'hello', reasoning: 'hm' }));
    const endpoint = open(server, { apiKey: ' secret ' });
    const answer = await endpoint.ask(question('hi', { temperature: 0, topP: 0.5, seed: 7, stop: ['x'], sample: 3 }));
    expect(answer).toMatchObject({ text: 'hello', finishReason: 'stop', reasoning: 'hm' });
    expect(answer.usage).toEqual({ promptTokens: 2, completionTokens: 5 });
    expect(server.requests).toEqual([
      {
        headers: expect.objectContaining({ authorization: 'Bearer secret' }) as unknown,
        body: {
          model: 'm',
          messages: [{ role: 'user', content: 'hi' }],
          max_tokens: 16,
          temperature: 0,
          top_p: 0.5,
          seed: 7,
          stop: ['x'],
        },
      },
    ]);
    const openai = open(server, { provider: 'openai', apiKey: 'k' });
    await openai.ask(question('hi', { model: 'o3-mini', temperature: 0, seed: 1, extra: { reasoning_effort: 'low' } }));
    expect(server.requests[1]!.body).toEqual({
      model: 'o3-mini',
      messages: [{ role: 'user', content: 'hi' }],
      max_completion_tokens: 16,
      reasoning_effort: 'low',
    });
  });

  test('a hundred questions at once keep to the number that may be under way', async () => {
    const server = await serve(() => ({ text: 'x', delayMs: 2 }));
    const endpoint = open(server, { concurrency: 5 });
    const warnings: Error[] = [];
    const note = (warning: Error): number => warnings.push(warning);
    process.on('warning', note);
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 100 }, async (_, i) => endpoint.ask(question(`q${i}`), signal)));
    process.off('warning', note);
    expect(server.requests).toHaveLength(100);
    expect(server.mostAtOnce).toBeGreaterThan(1);
    expect(server.mostAtOnce).toBeLessThanOrEqual(5);
    // all of them wait on one signal, which is no leak
    expect(warnings).toEqual([]);
    expect(endpoint.spending).toMatchObject({ asked: 100, tries: 100, completionTokens: 100 });
  });

  test('an address or a key that cannot be is refused before anything is sent, without showing a password', () => {
    expect(() => openEndpoint({ scope: 'judge', env: {} })).toThrow('judge: base_url must be an address');
    expect(() => openEndpoint({ scope: 'a', baseUrl: 'ftp://x/v1', env: {} })).toThrow('got ftp://x/v1');
    expect(() => openEndpoint({ scope: 'a', baseUrl: 'http://me:pass@x/v1', env: {} })).toThrow('got http://***@x/v1');
    expect(() => openEndpoint({ scope: 'judge', provider: 'openai', env: {} })).toThrow('OPENAI_API_KEY');
    expect(() => openEndpoint({ scope: 'judge', baseUrl: 'http://x/v1', keyVariable: 'MINE', env: {} })).toThrow(
      'MINE',
    );
  });
});

describe('failures', () => {
  test('what may pass is sent again, with growing delays, six times in all', async () => {
    const clock = skippingClock();
    let left = 5;
    const server = await serve(() => (left-- > 0 ? { status: 500 + (left % 2) } : { text: 'at last' }));
    const endpoint = open(server, { clock });
    expect((await endpoint.ask(question('q'))).text).toBe('at last');
    expect(clock.slept).toEqual([500, 1000, 2000, 4000, 8000]);
    left = 100;
    await expect(endpoint.ask(question('other'))).rejects.toMatchObject({
      code: 'endpoint-refused',
      fields: { status: 500 },
    });
    expect(endpoint.spending.tries).toBe(12);
  });

  test('what cannot pass is said at once, with the words of the provider and without the key', async () => {
    const server = await serve(() => ({ status: 401, body: '{"error":{"message":"wrong key\\nsk-123"}}' }));
    const error = await open(server, { apiKey: 'sk-123' })
      .ask(question('q'))
      .then(
        () => new Error('it was answered'),
        (reason: unknown) => reason as Error,
      );
    expect(server.requests).toHaveLength(1);
    expect(error.message).toContain('got 401 and');
    expect(error.message).toContain('wrong key');
    expect(JSON.stringify(error) + error.message).not.toContain('sk-123');
  });

  test('a limit that no waiting cures is not waited for; a redirect is not followed', async () => {
    const server = await serve(() => ({ status: 429, body: '{"error":{"code":"insufficient_quota"}}' }));
    await expect(open(server).ask(question('q'))).rejects.toMatchObject({ code: 'endpoint-refused' });
    expect(server.requests).toHaveLength(1);
    const moved = await serve(() => ({ status: 307, headers: { location: `${server.baseUrl}/chat/completions` } }));
    await expect(open(moved).ask(question('q'))).rejects.toMatchObject({ fields: { status: 307 } });
    expect(server.requests).toHaveLength(1);
  });

  test('bodies that are no answers, and silence, count as failures that may pass', async () => {
    const clock = skippingClock();
    const bodies = ['', '<html>', '{"choices":[]}', '[]', '{"choices":[{"message":{"content":5}}]}'];
    const server = await serve(() => ({ status: 200, body: bodies.shift() ?? 'still none' }));
    const fields = { actual: 'still none' };
    await expect(open(server, { clock }).ask(question('q'))).rejects.toMatchObject({ code: 'endpoint-answer', fields });
    const silent = await serve(() => ({ text: 'late', delayMs: 1000 }));
    const failure = open(silent, { clock, timeoutMs: 10 }).ask(question('q'));
    await expect(failure).rejects.toThrow('no answer within 0.01 s');
    await silent.close();
    await expect(open(silent, { clock }).ask(question('q'))).rejects.toMatchObject({ code: 'endpoint-unreachable' });
  });

  test('one "wait" holds all requests back; a wait beyond ten minutes ends the work', async () => {
    const clock = skippingClock();
    let refusals = 1;
    const server = await serve(() =>
      refusals-- > 0 ? { status: 429, headers: { 'retry-after': '7' } } : { text: 'x' },
    );
    const endpoint = open(server, { clock, concurrency: 1 });
    await Promise.all([endpoint.ask(question('a')), endpoint.ask(question('b'))]);
    // The first waits half a second of its own; whoever comes next waits for the rest of the seven.
    expect(clock.slept.reduce((sum, ms) => sum + ms, 0)).toBe(7000);
    const daily = await serve(() => ({ status: 429, headers: { 'retry-after': '86400' } }));
    await expect(open(daily, { clock }).ask(question('q'))).rejects.toThrow('wait for 86400 s');
  });

  test('a stop lets no further request out and finishes those under way', async () => {
    const controller = new AbortController();
    const server = await serve((_, index) => {
      if (index === 1) controller.abort(new Error('stopped'));
      return { text: 'x', delayMs: 20 };
    });
    const endpoint = open(server, { concurrency: 2 });
    const asked = Array.from({ length: 6 }, async (_, i) => endpoint.ask(question(`q${i}`), controller.signal));
    const ends = await Promise.allSettled(asked);
    expect(ends.map(({ status }) => status)).toEqual([...Array(2).fill('fulfilled'), ...Array(4).fill('rejected')]);
    expect(server.requests).toHaveLength(2);
  });
});

describe('pace', () => {
  test('is halved once for refusals of one moment, and grows by one with 50 answers', async () => {
    const pace = new Pace(8, skippingClock());
    const places = await Promise.all(Array.from({ length: 8 }, async () => pace.enter()));
    for (const place of places) pace.throttled(place);
    expect(pace.allowed).toBe(4);
    for (let i = 0; i < 8; i++) pace.leave();
    for (let i = 0; i < 4; i++) {
      pace.throttled(await pace.enter());
      pace.leave();
    }
    expect(pace.allowed).toBe(1);
    for (let i = 0; i < 100; i++) pace.succeeded();
    expect(pace.allowed).toBe(3);
  });

  test('waits are read in all their spellings', () => {
    expect(['2', '1.5', '20ms', '1m2.5s', '1h', 'soon', '', '1x', '-3'].map(parseDuration)).toEqual([
      2000,
      1500,
      20,
      62_500,
      3_600_000,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    const now = Date.parse('2026-01-01T00:00:00Z');
    const wait = (headers: Record<string, string>): number | undefined => requestedWaitMs(new Headers(headers), now);
    expect(wait({})).toBeUndefined();
    expect(wait({ 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' })).toBe(30_000);
    expect(wait({ 'retry-after': 'Wed, 31 Dec 2025 00:00:30 GMT' })).toBe(0);
    expect(wait({ 'retry-after-ms': '250', 'retry-after': 'nonsense' })).toBe(250);
    expect(wait({ 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '6m0s' })).toBe(360_000);
    expect(wait({ 'x-ratelimit-remaining-tokens': '9', 'x-ratelimit-reset-tokens': '6m0s' })).toBeUndefined();
  });
});

describe('journal', () => {
  test('nothing is asked twice: not at once, not later, not after a torn line; the account tells both', async () => {
    const path = join(folder, 'deep', 'journal.jsonl');
    const server = await serve(({ body }) => ({ text: `re: ${body.messages[0]!.content}` }));
    let journal = await openJournal(path);
    let endpoint = open(server, { journal, price: { input: 1, output: 10 } });
    const [first, same] = await Promise.all([endpoint.ask(question('q')), endpoint.ask(question('q'))]);
    expect(first).toEqual(same);
    await endpoint.ask(question('q'));
    await endpoint.ask(question('q', { sample: 1 }));
    expect(server.requests).toHaveLength(2);
    expect(endpoint.spending).toMatchObject({ asked: 2, remembered: 1, cost: (2 * (1 + 50)) / 1e6 });
    journal.close();
    appendFileSync(path, '{"key":"half');
    journal = await openJournal(path);
    expect(journal.size).toBe(2);
    endpoint = open(server, { journal, price: { input: 1, output: 10 } });
    expect(await endpoint.ask(question('q'))).toEqual({
      ...first,
      scope: 's',
      asked: messagesKey([{ role: 'user', content: 'q' }]),
    });
    expect((await endpoint.ask(question('new'))).text).toBe('re: new');
    journal.close();
    expect(server.requests).toHaveLength(3);
    expect(endpoint.spending).toMatchObject({ asked: 1, remembered: 1, rememberedCost: (1 + 50) / 1e6 });
    expect(readFileSync(path, 'utf8').trimEnd().split('\n')).toHaveLength(3);
  });

  test('a server that moves keeps its answers; another one of the same model name has its own', () => {
    const request = question('q');
    expect(requestKey('a', request)).toBe(requestKey('a', { ...request, stop: undefined }));
    expect(requestKey('a', request)).not.toBe(requestKey('b', request));
    expect(requestKey('a', request)).not.toBe(requestKey('a', { ...request, temperature: 0 }));
  });

  test('a long half line is cut; a whole line that is no answer is refused by its number', async () => {
    const path = join(folder, 'torn.jsonl');
    const whole = `${JSON.stringify({ key: 'k', scope: 's', text: 't' })}\n`;
    writeFileSync(path, `${whole}${'x'.repeat(200_000)}`);
    const journal = await openJournal(path);
    expect(journal.get('k')).toMatchObject({ text: 't', finishReason: null });
    journal.close();
    expect(readFileSync(path, 'utf8')).toBe(whole);
    writeFileSync(path, 'only a torn line');
    (await openJournal(path)).close();
    expect(readFileSync(path, 'utf8')).toBe('');
    writeFileSync(path, `${whole}{"key":1}\n${whole}`);
    await expect(openJournal(path)).rejects.toThrow(`${path}:2: must be an answer`);
  });
});
