/** From logits to the next token. Random numbers are a pure function of (seed, request, position). */
import { hashKey, RandomStream } from '../util/index.ts';

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
  /** Logits of tokens that occurred before are divided (if positive) or multiplied (if negative) by this (Keskar et al. 2019). */
  readonly repetitionPenalty: number;
  readonly seed: number;
}

/**
 * Chooses a token.
 * @param logits f32[V], not changed; @param seen ids that occurred in prompt and answer;
 * @param request which request this is, so that neighbours draw other numbers; @param position tokens chosen before.
 */
export function chooseToken(
  logits: Float32Array,
  settings: SamplingSettings,
  seen: ReadonlySet<number>,
  request: number,
  position: number,
): number {
  const scores = penalized(logits, settings.repetitionPenalty, seen);
  if (!settings.doSample || settings.temperature === 0) return argmax(scores);
  const candidates = candidateTokens(scores, settings);
  const random = new RandomStream(hashKey(settings.seed, 'sample', request, position)).next();
  let rest = random;
  for (const { id, probability } of candidates) {
    rest -= probability;
    if (rest < 0) return id;
  }
  return candidates.at(-1)!.id;
}

/** A token that may be drawn. */
export interface Candidate {
  readonly id: number;
  readonly probability: number;
}

/** The tokens that top-k and top-p leave, most probable first, with probabilities that sum to 1. */
export function candidateTokens(
  logits: Float32Array,
  { temperature, topK, topP }: Pick<SamplingSettings, 'temperature' | 'topK' | 'topP'>,
): Candidate[] {
  const count = topK > 0 ? Math.min(topK, logits.length) : logits.length;
  const ids = topIds(logits, count);
  const highest = logits[ids[0]!]!;
  const weights = ids.map((id) => Math.exp((logits[id]! - highest) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let kept = 0;
  let sum = 0;
  while (kept < ids.length && (kept === 0 || sum < topP * total)) sum += weights[kept++]!;
  return ids.slice(0, kept).map((id, i) => ({ id, probability: weights[i]! / sum }));
}

function penalized(logits: Float32Array, penalty: number, seen: ReadonlySet<number>): Float32Array {
  if (penalty === 1) return logits;
  const scores = logits.slice();
  for (const id of seen) scores[id] = scores[id]! > 0 ? scores[id]! / penalty : scores[id]! * penalty;
  return scores;
}

/** The id of the highest value; the lowest id where several are equal, as in torch. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/** The ids of the `count` highest values, highest first; equal values by rising id. */
function topIds(values: Float32Array, count: number): number[] {
  const higher = (a: number, b: number): number => values[b]! - values[a]! || a - b;
  if (count >= values.length) return Array.from({ length: values.length }, (_, i) => i).sort(higher);
  // a heap of the best so far, worst on top
  const heap: number[] = [];
  const worse = (a: number, b: number): boolean => higher(a, b) > 0;
  const sink = (start: number): void => {
    for (let i = start; ;) {
      let worst = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < heap.length && worse(heap[child]!, heap[worst]!)) worst = child;
      }
      if (worst === i) return;
      [heap[i], heap[worst]] = [heap[worst]!, heap[i]!];
      i = worst;
    }
  };
  for (let id = 0; id < values.length; id++) {
    if (heap.length < count) {
      heap.push(id);
      if (heap.length === count) for (let i = count >> 1; i >= 0; i--) sink(i);
    } else if (worse(heap[0]!, id)) {
      heap[0] = id;
      sink(0);
    }
  }
  return heap.sort(higher);
}
