/**
 * Several data sets become one order of rows: one after the other, or interleaved as Hugging Face's
 * `interleave_datasets` does it (`first_exhausted`, `all_exhausted`, `all_exhausted_without_replacement`). Pure functions
 * of the seed. Knows no `node:` module.
 */
import { hashKey, RandomStream } from '../util/index.ts';

export type MixStrategy = 'concat' | 'interleave_under' | 'interleave_over' | 'interleave_once';

/** A place in the mixed order: row `index` of data set `dataset`. */
export interface MixedRow {
  readonly dataset: number;
  readonly index: number;
}

/** Picks a data set for each place of the order: by turns without probabilities, else at random. */
function picker(
  sizes: readonly number[],
  probabilities: readonly number[] | undefined,
  seed: number,
): (open: readonly boolean[]) => number {
  if (probabilities === undefined) {
    let last = -1;
    return (open) => {
      do last = (last + 1) % sizes.length;
      while (!open[last]);
      return last;
    };
  }
  const random = new RandomStream(hashKey('mixing of data sets', seed));
  return (open) => {
    let total = 0;
    for (const [dataset, probability] of probabilities.entries()) if (open[dataset]) total += probability;
    let left = random.next() * total;
    let chosen = -1;
    for (const [dataset, probability] of probabilities.entries()) {
      if (!open[dataset] || probability === 0) continue;
      chosen = dataset;
      left -= probability;
      if (left < 0) break;
    }
    return chosen;
  };
}

/**
 * The mixed order of data sets of these sizes. `interleave_under` ends with the first set that is used up,
 * `interleave_over` begins used-up sets again until each was used up, `interleave_once` uses every row once.
 */
export function* mixRows(
  sizes: readonly number[],
  strategy: MixStrategy,
  probabilities: readonly number[] | undefined,
  seed: number,
): Generator<MixedRow> {
  if (strategy === 'concat') {
    for (const [dataset, size] of sizes.entries()) for (let index = 0; index < size; index++) yield { dataset, index };
    return;
  }
  // A set without rows, or that is never drawn, can never be used up.
  const open = sizes.map((size, dataset) => size > 0 && probabilities?.[dataset] !== 0);
  const used = sizes.map(() => 0);
  const wasExhausted = open.map((isOpen) => !isOpen);
  const pick = picker(sizes, probabilities, seed);
  let isOver = false;
  while (open.some(Boolean)) {
    const dataset = pick(open);
    const index = used[dataset]!++;
    yield { dataset, index };
    if (sizes[dataset] === used[dataset]) {
      wasExhausted[dataset] = true;
      isOver ||= strategy === 'interleave_under' || wasExhausted.every(Boolean);
      if (strategy === 'interleave_over') used[dataset] = 0;
      if (strategy === 'interleave_once') open[dataset] = false;
    }
    // Sets that take turns end with a whole round.
    if (isOver && (probabilities !== undefined || dataset === open.lastIndexOf(true))) return;
  }
}
