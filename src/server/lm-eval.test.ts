/**
 * Requests of lm-evaluation-harness, recorded by bench/server/lm_eval_mmlu.py, against the server; what the harness reads from
 * the answers is compared with transformers on the same ids.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseConfig } from '../config/index.ts';
import { type RunningServer, startServer } from './index.ts';

const root = join(import.meta.dirname, '../..');

interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly body: { readonly prompt: readonly (readonly number[])[]; readonly [key: string]: unknown } | null;
}
const golden = JSON.parse(readFileSync(join(root, 'test/goldens/server/lm-eval.json'), 'utf8')) as {
  readonly others: readonly Recorded[];
  readonly scored: readonly (Recorded & { readonly token_logprobs: readonly (readonly number[])[] })[];
  readonly generated: readonly (Recorded & { readonly texts: readonly string[] })[];
};

interface Choice {
  readonly index: number;
  readonly text: string;
  readonly logprobs: {
    readonly token_logprobs: readonly (number | null)[];
    readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
  };
}

let server: RunningServer;
beforeAll(async () => {
  const { config } = parseConfig(
    JSON.stringify({
      model_name_or_path: join(root, 'assets/demo/model'),
      served_model_name: 'm',
      port: 0,
      threads: 1,
      infer_dtype: 'float32',
    }),
    'serve.json',
  );
  server = await startServer(config);
}, 60_000);
afterAll(async () => server.close());

async function replay({ method, path, body }: Recorded): Promise<Record<string, unknown>> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    ...(body === null ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}
const choicesOf = async (recorded: Recorded): Promise<Choice[]> =>
  ((await replay(recorded))['choices'] as Choice[]).toSorted((a, b) => a.index - b.index);

it('is found to have a tokenizer of its own', async () => {
  const { '/tokenizer_info': info, '/tokenize': tokenize } = Object.fromEntries(
    golden.others.map((each) => [each.path, each]),
  );
  // what `tokenizer_backend=auto` asks for
  expect(typeof (await replay(info!))['eos_token']).toBe('string');
  const { tokens } = (await replay(tokenize!)) as { tokens: number[] };
  expect(tokens.length).toBeGreaterThan(1);
});

it('scores every token of the prompts as transformers does, and one more', async () => {
  expect(golden.scored.length).toBeGreaterThan(0);
  for (const recorded of golden.scored) {
    const choices = await choicesOf(recorded);
    expect(choices).toHaveLength(recorded.body!.prompt.length);
    for (const [i, { logprobs }] of choices.entries()) {
      const expected = recorded.token_logprobs[i]!;
      // [null, the prompt's others, the generated one]
      expect(logprobs.token_logprobs).toHaveLength(expected.length + 2);
      expect(logprobs.token_logprobs[0]).toBeNull();
      for (const [at, value] of expected.entries()) {
        const own = logprobs.token_logprobs[at + 1]!;
        expect(Math.abs(own - value)).toBeLessThan(1e-4);
        // the harness calls a token greedy where its score is the largest of these
        expect(Object.values(logprobs.top_logprobs[at + 1]!)).toContain(own);
      }
    }
  }
});

it('writes the texts that transformers writes, up to a stop text', async () => {
  expect(golden.generated.length).toBeGreaterThan(0);
  for (const recorded of golden.generated) {
    expect((await choicesOf(recorded)).map(({ text }) => text)).toEqual(recorded.texts);
  }
});
