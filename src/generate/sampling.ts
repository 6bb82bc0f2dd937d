/**
 * From logits to the distribution that the next token is really drawn from, and the draw. The order of the steps is that of
 * transformers: token bias, repetition penalty, frequency and presence penalties (as OpenAI defines them), n-grams, minimum
 * length; then temperature, top-k, top-p, min-p. Random numbers are a pure function of (seed, request, answer, position).
 */
import { hashKey, RandomStream } from '../util/index.ts';
import { Distribution, distributionOf } from './distribution.ts';
import type { TokenHistory } from './token-history.ts';

/** How the next token is chosen; names as in Hugging Face's generation config. */
export interface SamplingSettings {
  /** false: the most probable token. */
  readonly doSample: boolean;
  /** Divides the logits; 0 is the same as `doSample: false`. */
  readonly temperature: number;
  /** Draw among so many of the most probable tokens; 0: all. */
  readonly topK: number;
  /** Draw among the most probable tokens whose probabilities reach this sum. */
  readonly topP: number;
  /** Draw among tokens at least this share as probable as the most probable one (Nguyen et al. 2024). */
  readonly minP: number;
  /** Logits of tokens that occurred before are divided (if positive) or multiplied (if negative) by this (Keskar et al. 2019). */
  readonly repetitionPenalty: number;
  /** Taken from a token's logit for each time that it occurs in the answer (OpenAI). */
  readonly frequencyPenalty: number;
  /** Taken from the logit of a token that occurs in the answer (OpenAI). */
  readonly presencePenalty: number;
  /** No run of so many tokens occurs twice in prompt and answer; 0: no such rule. */
  readonly noRepeatNgramSize: number;
  /** Added to the logits of single tokens. */
  readonly tokenBias: ReadonlyMap<number, number>;
  /** No stop id before so many tokens. */
  readonly minNewTokens: number;
  readonly seed: number;
}

/** Settings that change nothing: greedy, no penalties. */
export const greedySampling: SamplingSettings = {
  doSample: false,
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  noRepeatNgramSize: 0,
  tokenBias: new Map(),
  minNewTokens: 0,
  seed: 0,
};

/** Whether tokens are drawn rather than the most probable one taken. */
export function drawsTokens({ doSample, temperature }: SamplingSettings): boolean {
  return doSample && temperature > 0;
}

const noStops: ReadonlySet<number> = new Set();

/**
 * The logits after bias, penalties, n-grams and minimum length: what greedy search takes the highest of.
 * @param logits f32[V], not changed; the same array is given back where nothing changes.
 */
export function processedLogits(
  logits: Float32Array,
  settings: SamplingSettings,
  history: TokenHistory,
  stopIds: ReadonlySet<number> = noStops,
): Float32Array {
  const { tokenBias, repetitionPenalty, frequencyPenalty, presencePenalty, noRepeatNgramSize, minNewTokens } = settings;
  let scores = logits;
  const own = (): Float32Array => (scores === logits ? (scores = logits.slice()) : scores);
  if (tokenBias.size > 0) {
    const changed = own();
    for (const [id, bias] of tokenBias) if (id < changed.length) changed[id]! += bias;
  }
  if (repetitionPenalty !== 1) {
    const changed = own();
    history.forEachSeen((id) => {
      const score = changed[id]!;
      changed[id] = score > 0 ? score / repetitionPenalty : score * repetitionPenalty;
    });
  }
  if (frequencyPenalty !== 0 || presencePenalty !== 0) {
    const changed = own();
    for (const [id, count] of history.counts) changed[id]! -= frequencyPenalty * count + presencePenalty;
  }
  if (noRepeatNgramSize > 0) {
    const repeating = history.repeatingIds(noRepeatNgramSize);
    const changed = repeating.length > 0 ? own() : scores;
    for (const id of repeating) changed[id] = -Infinity;
  }
  if (history.ids.length < minNewTokens && stopIds.size > 0) {
    const changed = own();
    for (const id of stopIds) if (id < changed.length) changed[id] = -Infinity;
  }
  return scores;
}

/** The distribution that the next token is really drawn from; where nothing is drawn, all of it on the highest logit. */
export function nextDistribution(
  logits: Float32Array,
  settings: SamplingSettings,
  history: TokenHistory,
  stopIds?: ReadonlySet<number>,
): Distribution {
  const scores = processedLogits(logits, settings, history, stopIds);
  if (!drawsTokens(settings)) return Distribution.certain(argmax(scores));
  return distributionOf(scores, settings);
}

/** Which random number a draw takes: neighbours in the batch have no part in it. */
export interface DrawKey {
  readonly seed: number;
  readonly request: number;
  readonly answer: number;
  /** Tokens of the answer before. */
  readonly position: number;
}

/** The uniform number in [0, 1) of a draw. `attempt` numbers further draws at the same place. */
export function drawNumber({ seed, request, answer, position }: DrawKey, attempt = 0): number {
  const key =
    attempt === 0
      ? hashKey(seed, 'sample', request, answer, position)
      : hashKey(seed, 'again', request, answer, position, attempt);
  return new RandomStream(key).next();
}

/** The id of the highest value; the lowest id where several are equal, as in torch. */
export function argmax(values: Float32Array): number {
  let best = 0;
  let highest = values[0]!;
  for (let i = 1; i < values.length; i++) {
    if (values[i]! > highest) {
      highest = values[i]!;
      best = i;
    }
  }
  return best;
}
