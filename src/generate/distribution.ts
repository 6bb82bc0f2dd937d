/** Probabilities of the next token: temperature, top-k, top-p and min-p on logits, and drawing by a uniform number. */
import { topIds } from './top-ids.ts';

/** What cuts and shapes a distribution. */
export interface DistributionSettings {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
}

/** Tokens that may come, with probabilities that sum to 1. */
export class Distribution {
  /** Most probable first where some were cut off, by id where all may come. */
  readonly ids: Int32Array;
  /** f64, beside `ids`. */
  readonly probabilities: Float64Array;
  private places: Map<number, number> | undefined;

  constructor(ids: Int32Array, probabilities: Float64Array) {
    this.ids = ids;
    this.probabilities = probabilities;
  }

  /** One token that is certain to come. */
  static certain(id: number): Distribution {
    return new Distribution(Int32Array.of(id), Float64Array.of(1));
  }

  /** The probability of a token; 0 where it was cut off. */
  probabilityOf(id: number): number {
    // where all may come, each stands at its own place
    if (this.ids[id] === id) return this.probabilities[id]!;
    this.places ??= new Map(Array.from(this.ids, (each, i) => [each, i]));
    const place = this.places.get(id);
    return place === undefined ? 0 : this.probabilities[place]!;
  }

  /** The token at a uniform number in [0, 1). */
  draw(uniform: number): number {
    let rest = uniform;
    let last = this.ids[0]!;
    for (let i = 0; i < this.ids.length; i++) {
      if (this.probabilities[i] === 0) continue;
      last = this.ids[i]!;
      rest -= this.probabilities[i]!;
      if (rest < 0) break;
    }
    return last;
  }
}

/**
 * The distribution of logits f32[V] after temperature, top-k, top-p and min-p, in this order, each on what the one before
 * left. Logits of -Infinity never come; where all are, the lowest id does.
 */
export function distributionOf(logits: Float32Array, settings: DistributionSettings): Distribution {
  const { temperature, topK, topP, minP } = settings;
  let highest = -Infinity;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > highest) highest = logits[i]!;
  if (highest === -Infinity) return Distribution.certain(0);
  const weightOf = (id: number): number => Math.exp((logits[id]! - highest) / temperature);
  const cutsRank = topK > 0 && topK < logits.length;
  if (!cutsRank && topP >= 1) {
    // no order needed: a floor under the logits says who stays
    const floor = minP > 0 ? highest + temperature * Math.log(minP) : -Infinity;
    const kept = new Int32Array(logits.length);
    const weights = new Float64Array(logits.length);
    let count = 0;
    for (let id = 0; id < logits.length; id++) {
      if (!(logits[id]! >= floor && logits[id]! > -Infinity)) continue;
      kept[count] = id;
      weights[count++] = weightOf(id);
    }
    return normalized(kept.slice(0, count), weights.slice(0, count));
  }
  let ids: number[];
  let total: number;
  if (cutsRank) {
    ids = topIds(logits, topK);
    total = ids.reduce((sum, id) => sum + weightOf(id), 0);
  } else {
    total = 0;
    for (let id = 0; id < logits.length; id++) total += weightOf(id);
    ids = topIds(logits, Math.min(logits.length, topPStart));
  }
  const weights: number[] = [];
  let sum = 0;
  while (weights.length === 0 || sum < topP * total) {
    if (weights.length === ids.length) {
      if (cutsRank || ids.length === logits.length) break;
      ids = topIds(logits, Math.min(logits.length, 16 * ids.length));
    }
    const weight = weightOf(ids[weights.length]!);
    weights.push(weight);
    sum += weight;
  }
  while (weights.length > 1 && (weights.at(-1)! < minP || weights.at(-1) === 0)) weights.pop();
  return normalized(Int32Array.from(ids.slice(0, weights.length)), Float64Array.from(weights));
}

/** How many of the most probable tokens top-p looks at first; mostly they suffice. */
const topPStart = 256;

/** Takes both arrays over. */
function normalized(ids: Int32Array, weights: Float64Array): Distribution {
  let total = 0;
  for (const weight of weights) total += weight;
  for (let i = 0; i < weights.length; i++) weights[i]! /= total;
  return new Distribution(ids, weights);
}

/** log softmax: the logarithm of the sum of exp(logits). */
export function logSumExp(logits: Float32Array): number {
  let highest = -Infinity;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > highest) highest = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - highest);
  return highest + Math.log(sum);
}
