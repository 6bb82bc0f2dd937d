/** Models with learned positions: nothing is looked up beyond the last one. */
import { expect, it } from 'vitest';
import { readParityGolden } from '../../test/support/parity-golden.ts';
import { openTinyModel, removeTinyModel, testCompileOptions } from '../../test/support/parity-model.ts';
import { frozenMethod } from '../tuning/index.ts';
import { Decoder, DecodingEngine, generate, type GenerationRequest, greedySampling, scoreTokens } from './index.ts';

it('an answer ends where the positions of GPT-2 end, a longer prompt is refused', async () => {
  const golden = readParityGolden('gpt2');
  const limit = golden.config['n_positions'] as number;
  const opened = await openTinyModel(golden, golden.config);
  const decoder = await Decoder.create(opened, frozenMethod(opened.stored), new Map(), testCompileOptions);
  const engine = new DecodingEngine(decoder, { maxRows: 4 });
  const prompt = (length: number): number[] => Array.from({ length }, (_, i) => (i * 7) % 64);
  const ask = (length: number, maxNewTokens: number, more: Partial<GenerationRequest> = {}) =>
    generate(engine, {
      promptIds: prompt(length),
      maxNewTokens,
      stopIds: new Set(),
      sampling: greedySampling,
      ...more,
    }).done;
  const beams = { beams: 2, lengthPenalty: 1, earlyStopping: false };
  try {
    const [near, searched, full, beyond] = await Promise.allSettled([
      ask(limit - 3, 50),
      ask(limit - 3, 50, { beams }),
      ask(limit, 50),
      ask(limit + 1, 1),
    ]);
    expect(searched).toMatchObject({ status: 'fulfilled', value: [{ finishReason: 'length', ids: { length: 4 } }] });
    expect(near).toMatchObject({ status: 'fulfilled', value: [{ finishReason: 'length', ids: { length: 4 } }] });
    expect(full).toMatchObject({ status: 'fulfilled', value: [{ finishReason: 'length', ids: { length: 1 } }] });
    expect(String((beyond as PromiseRejectedResult).reason)).toMatch(
      `prompt: at most ${limit} tokens, the positions that this gpt2 model has learned, got ${limit + 1}. Shorten it`,
    );
    await expect(scoreTokens(engine, [{ ids: prompt(limit + 5), from: 1 }])).rejects.toThrow('positions');
  } finally {
    await engine.release();
    await removeTinyModel(opened);
  }
});
