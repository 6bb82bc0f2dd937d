/** In f32 what is computed for a request depends on neither its neighbours nor the order in which they come: to the bit. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openModelFolder } from '../checkpoint/index.ts';
import { writeTinyModel } from '../testing/index.ts';
import { frozenMethod } from '../tuning/index.ts';
import { testCompileOptions } from '../../test/support/parity-model.ts';
import { generate, type Generation } from './answers.ts';
import { Decoder } from './decoder.ts';
import { DecodingEngine } from './engine.ts';
import { greedySampling, type SamplingSettings } from './sampling.ts';
import { scoreTokens } from './score.ts';

/** Wide enough that products are cut into blocks and tails; one head per group, and three. */
const shapes = {
  'one head per group': { hidden_size: 200, num_attention_heads: 5, num_key_value_heads: 5, intermediate_size: 300 },
  'three heads per group': { hidden_size: 288, num_attention_heads: 9, num_key_value_heads: 3, intermediate_size: 520 },
};

describe.each(Object.entries(shapes))('%s', (_, shape) => {
  let folder: string;
  let decoder: Decoder;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fettle-invariance-'));
    const config = {
      model_type: 'llama',
      vocab_size: 333,
      num_hidden_layers: 2,
      max_position_embeddings: 1024,
      rms_norm_eps: 1e-5,
      rope_theta: 10_000,
      tie_word_embeddings: true,
      hidden_act: 'silu',
      ...shape,
    };
    await writeTinyModel(folder, { config, seed: 3 });
    const opened = await openModelFolder(folder);
    decoder = await Decoder.create(opened, frozenMethod(opened.stored), new Map(), {
      ...testCompileOptions,
      threads: 2,
    });
  });
  afterAll(async () => {
    await decoder.release();
    await rm(folder, { recursive: true });
  });

  const prompts = [1, 2, 70, 5, 300, 64, 31, 20].map((length, i) =>
    Array.from({ length }, (_, t) => (t * (7 + i) + i) % 333),
  );
  const run = async (sampling: SamplingSettings, rows: number, order: readonly number[]): Promise<Generation[]> => {
    const engine = new DecodingEngine(decoder, { maxRows: rows });
    const results: Generation[] = [];
    await Promise.all(
      order.map(async (i) => {
        const request = { promptIds: prompts[i]!, maxNewTokens: 6 + i, stopIds: new Set<number>(), topLogprobs: 3 };
        const [result] = await generate(engine, { ...request, sampling, draw: i }).done;
        results[i] = result!;
      }),
    );
    return results;
  };
  const inOrder = prompts.map((_, i) => i);

  it.each([
    ['greedy', greedySampling],
    ['sampled', { ...greedySampling, doSample: true, temperature: 1.3, topP: 0.95, seed: 5 }],
  ])('%s text and log-probabilities are equal at 1, 3 and 8 rows, and in another order', async (_name, sampling) => {
    const alone = await run(sampling, 1, inOrder);
    expect(alone.map(({ ids }) => ids.length)).toEqual(inOrder.map((i) => 6 + i));
    expect(await run(sampling, 3, inOrder)).toEqual(alone);
    expect(await run(sampling, 8, inOrder)).toEqual(alone);
    expect(await run(sampling, 8, inOrder.toReversed())).toEqual(alone);
  });

  it('scores are equal alone and beside others', async () => {
    const engine = new DecodingEngine(decoder, { maxRows: 8 });
    const requests = prompts.map((ids) => ({ ids, from: Math.min(3, ids.length), topLogprobs: 2 }));
    const together = await scoreTokens(engine, requests);
    for (const i of inOrder.toReversed()) {
      const [alone] = await scoreTokens(new DecodingEngine(decoder, { maxRows: 1 }), [requests[i]!]);
      expect(together[i]).toEqual(alone);
    }
  });
});
