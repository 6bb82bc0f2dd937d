/** Which rows are set aside for evaluation, and which are sampled. Pure functions of the seed. Knows no `node:` module. */
import { hashKey, permutation } from '../util/index.ts';

/** Rows set aside of `rows` by `valSize`: a share up to 1 (rounded up, as scikit-learn and Hugging Face do), a number above 1. */
export function validationCount(rows: number, valSize: number): number {
  return valSize > 1 ? valSize : Math.ceil(valSize * rows);
}

/** Marks `count` of `rows` rows, chosen by the seed: u8[rows], 1 where a row is set aside. */
export function chooseValidation(rows: number, count: number, seed: number): Uint8Array {
  const chosen = new Uint8Array(rows);
  for (const row of permutation(rows, hashKey('validation rows', seed)).subarray(0, count)) chosen[row] = 1;
  return chosen;
}

/** How often each of `rows` rows is used when `count` rows are drawn: once or not at all, or more often where `count` is larger. u32[rows]. */
export function chooseSamples(rows: number, count: number, name: string, seed: number): Uint32Array {
  const uses = new Uint32Array(rows).fill(Math.floor(count / Math.max(1, rows)));
  if (rows === 0) return uses;
  for (const row of permutation(rows, hashKey('sampled rows', name, seed)).subarray(0, count % rows)) uses[row]!++;
  return uses;
}
