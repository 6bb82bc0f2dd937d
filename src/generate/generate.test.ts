/** Cached decoding against what transformers generated, in one piece, in pieces and beside neighbours. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelFolder } from '../checkpoint/index.ts';
import { frozenMethod } from '../tuning/index.ts';
import { parityCases, readParityGolden } from '../../test/support/parity-golden.ts';
import { openTinyModel, removeTinyModel, testCompileOptions } from '../../test/support/parity-model.ts';
import { Decoder } from './decoder.ts';
import { generateMany, generateOne, type GenerationRequest } from './generate.ts';
import { candidateTokens, chooseToken } from './sampling.ts';

const greedy = { doSample: false, temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1, seed: 1 };

describe.each(parityCases())('%s', (name) => {
  const golden = readParityGolden(name);
  let folder: ModelFolder;
  let decoder: Decoder;
  const request = (promptIds: readonly number[], maxNewTokens: number): GenerationRequest => ({
    promptIds,
    maxNewTokens,
    stopIds: new Set(),
    sampling: greedy,
  });
  beforeAll(async () => {
    folder = await openTinyModel(golden, golden.config);
    decoder = await Decoder.create(folder, frozenMethod(folder.stored), new Map(), testCompileOptions);
  });
  afterAll(async () => {
    await decoder.release();
    await removeTinyModel(folder);
  });

  it('greedy text is that of transformers', async () => {
    const { prompt, ids } = golden.greedy;
    const cached: number[] = [];
    const result = await generateOne(decoder, request(prompt, ids.length), cached);
    expect(result).toEqual({ ids, finishReason: 'length' });
    // the same again over a cache that holds the prompt already
    expect((await generateOne(decoder, request(prompt, ids.length), cached)).ids).toEqual(ids);
  });

  it('is the same beside neighbours of other lengths, and a freed row is used again', async () => {
    const { prompt, ids } = golden.greedy;
    const requests = [request([5, 6, 7], 9), request(prompt, ids.length), request([9], 2), request(prompt, 3)];
    const results = await generateMany(decoder, requests, 2);
    expect(results.map((result) => result.ids.length)).toEqual([9, ids.length, 2, 3]);
    expect(results[1]!.ids).toEqual(ids);
    expect(results[3]!.ids).toEqual(ids.slice(0, 3));
  });
});

describe('sampling', () => {
  const logits = Float32Array.from([1, 3, 2, 3, -1]);
  it('takes the lowest id of equal highest logits', () => {
    expect(chooseToken(logits, greedy, new Set(), 0, 0)).toBe(1);
  });
  it('keeps the top-k, then the smallest set that reaches top-p', () => {
    const weights = [Math.exp(0), Math.exp(0), Math.exp(-1)];
    const total = weights[0]! + weights[1]! + weights[2]!;
    const three = candidateTokens(logits, { temperature: 1, topK: 3, topP: 1 });
    expect(three.map(({ id }) => id)).toEqual([1, 3, 2]);
    expect(three[2]!.probability).toBeCloseTo(weights[2]! / total, 12);
    expect(candidateTokens(logits, { temperature: 1, topK: 3, topP: 0.8 }).map(({ id }) => id)).toEqual([1, 3]);
    expect(candidateTokens(logits, { temperature: 1, topK: 0, topP: 1e-9 })).toEqual([{ id: 1, probability: 1 }]);
  });
  it('draws with the right frequencies, the same for the same key', () => {
    const settings = { ...greedy, doSample: true, temperature: 2 };
    const expected = candidateTokens(logits, settings);
    const counts = new Map<number, number>();
    const draws = 20_000;
    for (let i = 0; i < draws; i++) {
      const id = chooseToken(logits, settings, new Set(), 0, i);
      counts.set(id, (counts.get(id) ?? 0) + 1);
      if (i % 1000 === 0) expect(chooseToken(logits, settings, new Set(), 0, i)).toBe(id);
    }
    for (const { id, probability } of expected) {
      const deviation = Math.sqrt((probability * (1 - probability)) / draws);
      expect(Math.abs((counts.get(id) ?? 0) / draws - probability)).toBeLessThan(5 * deviation);
    }
  });
  it('repetition penalty divides positive and multiplies negative logits of seen tokens', () => {
    const penalty = { ...greedy, repetitionPenalty: 2 };
    expect(chooseToken(logits, penalty, new Set([1, 3]), 0, 0)).toBe(2);
  });
});
