/** The server with both its processes, asked by OpenAI's own client and by strangers. */
import { join } from 'node:path';
import { connect } from 'node:net';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FettleConfig, parseConfig } from '../config/index.ts';
import { openGenerator } from '../generate/index.ts';
import { type RunningServer, startServer } from './index.ts';

const model = join(import.meta.dirname, '../../assets/demo/model');
const config = (more: Record<string, unknown> = {}): FettleConfig =>
  parseConfig(
    JSON.stringify({
      model_name_or_path: model,
      served_model_name: 'demo',
      port: 0,
      threads: 1,
      api_key: 'first,second',
      max_body_size: 1_000_000,
      max_new_tokens: 8,
      ...more,
    }),
    'serve.json',
  ).config;

let server: RunningServer;
let client: OpenAI;
beforeAll(async () => {
  server = await startServer(config());
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'second', maxRetries: 0 });
}, 60_000);
afterAll(async () => server.close());

const messages = [{ role: 'user' as const, content: 'The soup was cold.' }];
const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer first', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
const get = (path: string): Promise<Response> =>
  fetch(`${server.url}${path}`, { headers: { authorization: 'Bearer first' } });

describe("OpenAI's client", () => {
  it('lists the model and chats; the text is that of fettle generate', async () => {
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['demo']);
    const answer = await client.chat.completions.create({ model: 'demo', messages, temperature: 0, max_tokens: 6 });
    const generator = await openGenerator(config({ do_sample: false, max_new_tokens: 6 }));
    const expected = await generator.answer(generator.promptIds(messages));
    await generator.release();
    expect(answer.choices[0]!.message).toEqual({ role: 'assistant', content: expected.text });
    expect(answer.choices[0]!.finish_reason).toBe(expected.finish_reason);
    expect(answer.usage).toEqual({
      prompt_tokens: expected.prompt_ids.length,
      completion_tokens: expected.ids.length,
      total_tokens: expected.prompt_ids.length + expected.ids.length,
    });
  });

  it('streams the same text, with usage at the end', async () => {
    const plain = await client.chat.completions.create({ model: 'demo', messages, seed: 7, max_tokens: 8 });
    const stream = await client.chat.completions.create({
      model: 'demo',
      messages,
      seed: 7,
      max_tokens: 8,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage: unknown;
    const reasons: (string | null)[] = [];
    for await (const part of stream) {
      text += part.choices[0]?.delta.content ?? '';
      if (part.choices[0]?.finish_reason) reasons.push(part.choices[0].finish_reason);
      usage = part.usage ?? usage;
    }
    expect(text).toBe(plain.choices[0]!.message.content);
    expect(reasons).toEqual([plain.choices[0]!.finish_reason]);
    expect(usage).toEqual(plain.usage);
  });

  it('asks for several answers, which differ, and for log-probabilities', async () => {
    const answer = await client.chat.completions.create({
      model: 'demo',
      messages,
      n: 3,
      seed: 1,
      temperature: 3,
      top_p: 1,
      max_tokens: 6,
      logprobs: true,
      top_logprobs: 2,
    });
    expect(answer.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(new Set(answer.choices.map(({ message }) => message.content)).size).toBeGreaterThan(1);
    const [first] = answer.choices[0]!.logprobs!.content!;
    expect(first!.top_logprobs).toHaveLength(2);
    expect(first!.logprob).toBeLessThanOrEqual(first!.top_logprobs[0]!.logprob);
  });

  it('completes texts and token ids, with echo and the log-probabilities of the prompt', async () => {
    const answer = await client.completions.create({
      model: 'demo',
      prompt: ['The soup', 'A good'],
      max_tokens: 1,
      temperature: 0,
      logprobs: 1,
      echo: true,
    });
    expect(answer.choices.map(({ index }) => index)).toEqual([0, 1]);
    const { tokens } = (await (await post('/tokenize', { prompt: 'The soup' })).json()) as { tokens: number[] };
    const { logprobs, text } = answer.choices[0]!;
    expect(text.startsWith('The soup')).toBe(true);
    expect(logprobs!.tokens).toHaveLength(tokens.length + 1);
    expect(logprobs!.token_logprobs![0]).toBeNull();
    for (const value of logprobs!.token_logprobs!.slice(1)) expect(value).toBeLessThanOrEqual(0);
    const byIds = await client.completions.create({
      model: 'demo',
      prompt: tokens,
      max_tokens: 1,
      temperature: 0,
      logprobs: 1,
      echo: true,
    });
    expect(byIds.choices[0]).toEqual(answer.choices[0]);
    const scored = await client.completions.create({
      model: 'demo',
      prompt: tokens,
      max_tokens: 0,
      temperature: 0,
      logprobs: 1,
      echo: true,
    });
    expect(scored.choices[0]!.logprobs!.token_logprobs).toEqual(logprobs!.token_logprobs!.slice(0, -1));
  });

  it('stops at a text, and suppresses one', async () => {
    const plain = await client.completions.create({ model: 'demo', prompt: 'The soup', max_tokens: 8, temperature: 0 });
    const text = plain.choices[0]!.text;
    const stop = text.slice(2, 4);
    const stopped = await client.completions.create({
      model: 'demo',
      prompt: 'The soup',
      max_tokens: 8,
      temperature: 0,
      stop,
    });
    expect(stopped.choices[0]).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finish_reason: 'stop' });
    const extension = { suppress: [{ text: stop, coefficient: 0 }] };
    const suppressed = await client.completions.create({
      model: 'demo',
      prompt: 'The soup',
      max_tokens: 8,
      temperature: 0,
      ...extension,
    });
    expect(suppressed.choices[0]!.text).not.toContain(stop);
    expect(suppressed.choices[0]).toMatchObject({ suppressed: [{ text: stop, fired: 0 }] });
  });

  it('searches with beams as fettle generate does, with log-probabilities, stop texts and suppression', async () => {
    const prompt = 'The soup';
    const search = { model: 'demo', prompt, max_tokens: 8, n: 2, use_beam_search: true, best_of: 3 } as const;
    const generator = await openGenerator(
      config({ do_sample: false, num_beams: 3, num_return_sequences: 2, max_new_tokens: 8 }),
    );
    const expected = await generator.answers(generator.rawIds(prompt));
    await generator.release();
    const found = await client.completions.create({ ...search, logprobs: 1 });
    expect(found.choices.map(({ text }) => text)).toEqual(expected.map(({ text }) => text));
    for (const [i, { logprobs }] of found.choices.entries()) {
      expect(logprobs!.token_logprobs).toHaveLength(expected[i]!.ids.length);
    }
    const stop = expected[0]!.text.slice(2, 4);
    const stopped = await client.completions.create({ ...search, n: 1, stop });
    expect(stopped.choices[0]!.text).not.toContain(stop);
    const extended = { ...search, suppress: [{ text: stop, coefficient: 0 }] };
    const suppressed = await client.completions.create(extended);
    for (const choice of suppressed.choices) {
      expect(choice.text).not.toContain(stop);
      expect(choice).toMatchObject({ suppressed: [{ text: stop, fired: 0 }] });
    }
  });

  it('is told what is wrong, in its own errors', async () => {
    await expect(client.chat.completions.create({ model: 'other', messages })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
    });
    await expect(client.chat.completions.create({ model: 'demo', messages, temperature: -1 })).rejects.toMatchObject({
      status: 400,
      param: 'temperature',
      message: '400 temperature must be a number from 0 to 100, got -1',
    });
    await expect(client.completions.create({ model: 'demo', prompt: 'x', max_tokens: 1e6 })).rejects.toMatchObject({
      status: 400,
      code: 'context_length_exceeded',
    });
    const wrong = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'third', maxRetries: 0 });
    await expect(wrong.models.list()).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' });
  });
});

describe('other addresses', () => {
  it('tokens there and back, health, metrics, tokenizer', async () => {
    const { tokens, count } = (await (
      await post('/tokenize', { prompt: 'Good bread', add_special_tokens: false })
    ).json()) as {
      tokens: number[];
      count: number;
    };
    expect(tokens).toHaveLength(count);
    expect(await (await post('/detokenize', { tokens })).json()).toEqual({ prompt: 'Good bread' });
    expect(await (await fetch(`${server.url}/health`)).json()).toEqual({ status: 'ok' });
    expect(await (await get('/metrics')).text()).toContain('fettle_engine_ready 1');
    // lm-evaluation-harness renders chat_template itself with --apply_chat_template
    expect(await (await get('/tokenizer_info')).json()).toMatchObject({
      eos_token: '<|im_end|>',
      chat_template: expect.stringMatching(/^\{% for message in messages %\}/),
    });
  });

  it.each([
    ['/v1/nothing', 'GET', undefined, 404],
    ['/v1/completions', 'GET', undefined, 405],
    ['/v1/completions', 'POST', 'x', 400],
    ['/v1/completions', 'POST', '[]', 400],
    ['/v1/completions', 'POST', '{"prompt": {}}', 400],
    ['/v1/completions', 'POST', '{"prompt": [1, 99999999]}', 400],
    ['/v1/completions', 'POST', `{"prompt": "${'x'.repeat(1_000_001)}"}`, 413],
    ['/v1/chat/completions', 'POST', '{"messages": []}', 400],
    ['/v1/chat/completions', 'POST', '{"messages": [{"role": "robot", "content": ""}]}', 400],
    ['/v1/chat/completions', 'POST', '{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', 400],
    ['/v1/load_lora_adapter', 'POST', '{"lora_name": "a", "lora_path": "/etc"}', 403],
  ])('%s %s %j: %d', async (path, method, body, status) => {
    const headers = { authorization: 'Bearer first', 'content-type': 'application/json' };
    const response = await fetch(`${server.url}${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
    expect(response.status).toBe(status);
    expect(((await response.json()) as { error: { message: string } }).error.message).not.toBe('');
  });
});

it('a client that goes away leaves the batch; others are not disturbed', async () => {
  const quick = (): Promise<string | null> =>
    client.chat.completions
      .create({ model: 'demo', messages, temperature: 0, max_tokens: 4 })
      .then((answer) => answer.choices[0]!.message.content);
  const before = await quick();
  const body = JSON.stringify({ prompt: 'The', max_tokens: 200, stream: true, ignore_eos: true });
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.write(
    `POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer first\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await new Promise((resolve) => socket.once('data', resolve));
  socket.destroy();
  expect(await quick()).toBe(before);
  for (let i = 0; i < 100; i++) {
    const rows = /fettle_rows_running (\d+)/.exec(await (await get('/metrics')).text())![1];
    if (rows === '0') return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('the row of a client that has gone is still computed');
});
