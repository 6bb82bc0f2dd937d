/** Cached decoding against what transformers generated, in one piece, in pieces and beside neighbours. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelFolder } from '../checkpoint/index.ts';
import { frozenMethod } from '../tuning/index.ts';
import { parityCases, readParityGolden } from '../../test/support/parity-golden.ts';
import { openTinyModel, removeTinyModel, testCompileOptions } from '../../test/support/parity-model.ts';
import { Decoder } from './decoder.ts';
import { generate, type Generation, type GenerationRequest } from './answers.ts';
import { distributionOf } from './distribution.ts';
import { DecodingEngine } from './engine.ts';
import { drawNumber, greedySampling, nextDistribution } from './sampling.ts';
import { scoreTokens } from './score.ts';
import { TokenHistory } from './token-history.ts';

describe.each(parityCases())('%s', (name) => {
  const golden = readParityGolden(name);
  let folder: ModelFolder;
  let decoder: Decoder;
  const request = (promptIds: readonly number[], maxNewTokens: number): GenerationRequest => ({
    promptIds,
    maxNewTokens,
    stopIds: new Set(),
    sampling: greedySampling,
  });
  const answers = async (requests: readonly GenerationRequest[], maxRows: number): Promise<Generation[]> => {
    const engine = new DecodingEngine(decoder, { maxRows });
    const all = await Promise.all(requests.map((each) => generate(engine, each).done));
    return all.map(([first]) => first!);
  };
  beforeAll(async () => {
    folder = await openTinyModel(golden, golden.config);
    decoder = await Decoder.create(folder, frozenMethod(folder.stored), new Map(), testCompileOptions);
  });
  afterAll(async () => {
    await decoder.release();
    await removeTinyModel(folder);
  });

  it('greedy text is that of transformers, again over what the first run left', async () => {
    const { prompt, ids } = golden.greedy;
    const engine = new DecodingEngine(decoder, { maxRows: 1 });
    for (let turn = 0; turn < 2; turn++) {
      const [result] = await generate(engine, request(prompt, ids.length)).done;
      expect(result).toEqual({ ids, finishReason: 'length', logprobs: [] });
    }
  });

  it('is the same beside neighbours of other lengths, and a freed row is used again', async () => {
    const { prompt, ids } = golden.greedy;
    const requests = [request([5, 6, 7], 9), request(prompt, ids.length), request([9], 2), request(prompt, 3)];
    const results = await answers(requests, 2);
    expect(results.map((result) => result.ids.length)).toEqual([9, ids.length, 2, 3]);
    expect(results[1]!.ids).toEqual(ids);
    expect(results[3]!.ids).toEqual(ids.slice(0, 3));
  });

  it('scores what it wrote as greedy', async () => {
    const { prompt, ids } = golden.greedy;
    const engine = new DecodingEngine(decoder, { maxRows: 4 });
    const text = [...prompt, ...ids];
    const [scored] = await scoreTokens(engine, [
      { ids: text, from: prompt.length, topLogprobs: 2, candidates: [1, 2] },
    ]);
    expect(scored!.isGreedy).toEqual(ids.map(() => true));
    expect(scored!.top.map(([best]) => best!.id)).toEqual(ids);
    scored!.top.forEach(([best], i) => expect(best!.logprob).toBe(scored!.logprobs[i]));
    expect(scored!.candidates).toHaveLength(ids.length);
  });
});

describe('sampling', () => {
  const logits = Float32Array.from([1, 3, 2, 3, -1]);
  const draws = { ...greedySampling, doSample: true };
  const history = (): TokenHistory => new TokenHistory([]);
  it('takes the lowest id of equal highest logits', () => {
    expect([...nextDistribution(logits, greedySampling, history()).ids]).toEqual([1]);
  });
  it('keeps the top-k, then the smallest set that reaches top-p', () => {
    const weights = [Math.exp(0), Math.exp(0), Math.exp(-1)];
    const total = weights[0]! + weights[1]! + weights[2]!;
    const three = distributionOf(logits, { ...draws, topK: 3 });
    expect([...three.ids]).toEqual([1, 3, 2]);
    expect(three.probabilityOf(2)).toBeCloseTo(weights[2]! / total, 12);
    expect([...distributionOf(logits, { ...draws, topK: 3, topP: 0.8 }).ids]).toEqual([1, 3]);
    expect([...distributionOf(logits, { ...draws, topP: 1e-9 }).ids]).toEqual([1]);
  });
  it('draws with the right frequencies, the same for the same key', () => {
    const expected = nextDistribution(logits, { ...draws, temperature: 2 }, history());
    const counts = new Map<number, number>();
    const number = 20_000;
    for (let position = 0; position < number; position++) {
      const id = expected.draw(drawNumber({ seed: 1, request: 0, answer: 0, position }));
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    for (const id of expected.ids) {
      const probability = expected.probabilityOf(id);
      const deviation = Math.sqrt((probability * (1 - probability)) / number);
      expect(Math.abs((counts.get(id) ?? 0) / number - probability)).toBeLessThan(5 * deviation);
    }
  });
});
