/** Each sampler against its definition: frequencies of 100,000 draws from fixed logits. */
import { describe, expect, it } from 'vitest';
import { drawNumber, greedySampling, nextDistribution, type SamplingSettings } from './sampling.ts';
import { TokenHistory } from './token-history.ts';

const draws = 100_000;
const logits = Float32Array.from({ length: 40 }, (_, i) => 3 * Math.sin(i * 2.3) + Math.cos(i * 0.7));
const prompt = [1, 5, 9, 5];
const answer = [7, 7, 3, 1, 5];
const stopIds = new Set([2, 30]);

type Probabilities = readonly number[];

const softmax = (scores: readonly number[]): Probabilities => {
  const weights = scores.map(Math.exp);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
};
/** Keeps the tokens that `keeps` says of their rank and the sum of the probabilities before them. */
const cut = (p: Probabilities, keeps: (rank: number, before: number, own: number, best: number) => boolean) => {
  const order = p.map((_, id) => id).sort((a, b) => p[b]! - p[a]!);
  const kept = Array<number>(p.length).fill(0);
  let before = 0;
  order.forEach((id, rank) => {
    if (keeps(rank, before, p[id]!, p[order[0]!]!)) kept[id] = p[id]!;
    before += p[id]!;
  });
  const total = kept.reduce((sum, value) => sum + value, 0);
  return kept.map((value) => value / total);
};
const scores = [...logits];
const count = (id: number): number => answer.filter((each) => each === id).length;

const cases: readonly (readonly [string, Partial<SamplingSettings>, Probabilities])[] = [
  ['no sampler', {}, softmax(scores)],
  ['temperature', { temperature: 0.6 }, softmax(scores.map((score) => score / 0.6))],
  ['top_k', { topK: 5 }, cut(softmax(scores), (rank) => rank < 5)],
  ['top_p', { topP: 0.8 }, cut(softmax(scores), (_, before) => before < 0.8)],
  ['min_p', { minP: 0.1 }, cut(softmax(scores), (_rank, _before, own, best) => own >= 0.1 * best)],
  [
    'temperature, top_k, top_p and min_p, in this order',
    { temperature: 1.5, topK: 20, topP: 0.9, minP: 0.15 },
    cut(
      cut(
        cut(softmax(scores.map((score) => score / 1.5)), (rank) => rank < 20),
        (_, before) => before < 0.9,
      ),
      (_rank, _before, own, best) => own >= 0.15 * best,
    ),
  ],
  [
    'repetition_penalty',
    { repetitionPenalty: 1.7 },
    softmax(
      scores.map((score, id) => {
        if (![...prompt, ...answer].includes(id)) return score;
        return score > 0 ? score / 1.7 : score * 1.7;
      }),
    ),
  ],
  ['frequency_penalty', { frequencyPenalty: 0.9 }, softmax(scores.map((score, id) => score - 0.9 * count(id)))],
  [
    'presence_penalty',
    { presencePenalty: 1.1 },
    softmax(scores.map((score, id) => score - 1.1 * Math.min(1, count(id)))),
  ],
  [
    'no_repeat_ngram_size: 9 came after 1 5',
    { noRepeatNgramSize: 3 },
    softmax(scores.map((score, id) => (id === 9 ? -Infinity : score))),
  ],
  [
    'logit_bias',
    {
      tokenBias: new Map([
        [4, 2],
        [8, -100],
      ]),
    },
    softmax(scores.map((score, id) => score + (id === 4 ? 2 : id === 8 ? -100 : 0))),
  ],
  ['min_new_tokens', { minNewTokens: 6 }, softmax(scores.map((score, id) => (stopIds.has(id) ? -Infinity : score)))],
];

describe.each(cases)('%s', (_, changes, expected) => {
  it('draws each token as often as its definition says', () => {
    const settings: SamplingSettings = { ...greedySampling, doSample: true, ...changes };
    const history = new TokenHistory(prompt);
    for (const id of answer) history.push(id);
    const distribution = nextDistribution(logits, settings, history, stopIds);
    const counts = Array<number>(logits.length).fill(0);
    for (let position = 0; position < draws; position++) {
      counts[distribution.draw(drawNumber({ seed: 11, request: 3, answer: 1, position }))]!++;
    }
    let squares = 0;
    let freedom = -1;
    expected.forEach((probability, id) => {
      expect(distribution.probabilityOf(id)).toBeCloseTo(probability, 6);
      if (probability < 1e-9) {
        expect(counts[id]).toBe(0);
        return;
      }
      // of rare tokens not many more than there should be; of the others, each within five deviations
      const mean = draws * probability;
      expect(Math.abs(counts[id]! - mean)).toBeLessThan(5 * Math.sqrt(mean * (1 - probability)) + 5);
      squares += (counts[id]! - mean) ** 2 / mean;
      freedom++;
    });
    // chi-squared: mean and variance of its normal approximation
    expect(squares).toBeLessThan(freedom + 5 * Math.sqrt(2 * freedom) + 5);
  });
});

it('neighbouring seeds, requests, answers and places draw independently', () => {
  const at = (seed: number, request: number, index: number, position: number): number =>
    drawNumber({ seed, request, answer: index, position });
  const pairs = [
    [at(1, 0, 0, 0), at(2, 0, 0, 0), at(1, 1, 0, 0), at(1, 0, 1, 0), at(1, 0, 0, 1)],
    [at(1, 2, 3, 4), at(1, 2, 4, 3), at(1, 3, 2, 4)],
  ];
  for (const numbers of pairs) expect(new Set(numbers).size).toBe(numbers.length);
  let product = 0;
  for (let i = 0; i < 10_000; i++) product += (at(1, i, 0, 0) - 0.5) * (at(1, i, 0, 1) - 0.5);
  // covariance of independent uniform numbers: deviation 1/12/100
  expect(Math.abs(product / 10_000)).toBeLessThan(5 / 1200);
});
