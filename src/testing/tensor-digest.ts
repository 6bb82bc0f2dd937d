/**
 * Compares a tensor with the digest of another that was too large to store (bench/parity/tiny_model.py `digest`): its norm,
 * some of its entries, and sums over all entries with hashed signs.
 */
import { hashKey, mix32 } from '../util/index.ts';

/** What stands for a tensor: see `differenceFromDigest`. */
export interface TensorDigest {
  readonly shape: readonly number[];
  /** L2 norm. */
  readonly norm: number;
  /** Entries at hashed places: little-endian f32 in base64. */
  readonly entries: string;
  /** Sums over all entries, each with its own hashed signs. */
  readonly projections: readonly number[];
}

/** Little-endian f32 in base64 -> values. */
export function decodeBase64Floats(text: string): Float32Array {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** |a - b|₂ / |b|₂. */
export function relativeDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** The largest |a - b| of any element. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < b.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

/** Sum number `j` over all values, with hashed signs. */
function projection(name: string, j: number, values: Float32Array): number {
  const key = hashKey('projection', name, j);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (mix32(key, i) & 1) === 1 ? values[i]! : -values[i]!;
  return sum;
}

/** Values at `count` hashed places. */
function pickedEntries(name: string, count: number, values: Float32Array): Float32Array {
  const key = hashKey('entries', name);
  return Float32Array.from({ length: count }, (_, k) => values[mix32(key, k) % values.length]!);
}

/** The digest of a tensor, as bench/parity/tiny_model.py makes it. */
export function tensorDigest(name: string, shape: readonly number[], values: Float32Array): TensorDigest {
  const entries = new Uint8Array(pickedEntries(name, 64, values).buffer);
  return {
    shape,
    norm: Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)),
    entries: btoa(String.fromCharCode(...entries)),
    projections: Array.from({ length: 8 }, (_, j) => projection(name, j, values)),
  };
}

/**
 * An estimate of |values - recorded|₂ / |recorded|₂ from the digest of the recorded tensor: the larger of two, one from the
 * sums (their mean squared difference has |values - recorded|² as its expectation, so a change anywhere shows), one from
 * the entries.
 */
export function differenceFromDigest(name: string, values: Float32Array, recorded: TensorDigest): number {
  if (values.length !== recorded.shape.reduce((product, size) => product * size, 1)) return Infinity;
  let fromSums = 0;
  for (const [j, expected] of recorded.projections.entries()) fromSums += (projection(name, j, values) - expected) ** 2;
  const expected = decodeBase64Floats(recorded.entries);
  const actual = pickedEntries(name, expected.length, values);
  let fromEntries = 0;
  for (let k = 0; k < expected.length; k++) fromEntries += (actual[k]! - expected[k]!) ** 2;
  const squared = Math.max(fromSums / recorded.projections.length, (fromEntries * values.length) / expected.length);
  return Math.sqrt(squared) / recorded.norm;
}
