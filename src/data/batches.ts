/** Which samples make a batch. Pure functions of (settings, seed, epoch), so that a resumed run finds its place. Knows no `node:` module. */
import { hashKey, permutation } from '../util/index.ts';

/** How the samples of an epoch are put into batches. */
export interface BatchSettings {
  /** Samples of a batch; the last one of an epoch may be shorter. */
  readonly batchSize: number;
  /** Samples of similar length share a batch, so that little is computed in vain. */
  readonly groupByLength: boolean;
  /** File order, consecutive samples (contract 19). */
  readonly disableShuffling: boolean;
  readonly seed: number;
}

/** Batches whose samples are sorted by length together: as transformers' LengthGroupedSampler, 50 or fewer where there are few. */
function megaBatchSize(samples: number, batchSize: number): number {
  const batches = Math.max(1, Math.min(50, Math.floor(samples / (batchSize * 4))));
  return batches * batchSize;
}

/** Batches of an epoch. */
export function batchCount(samples: number, batchSize: number): number {
  return Math.ceil(samples / batchSize);
}

/**
 * The batches of one epoch as indices of samples. Every sample stands in exactly one batch. With `groupByLength` a
 * seeded order is cut into stretches, each sorted by length and cut into batches, and the batches are shuffled again;
 * the batch with the longest sample comes first, so that a run that does not fit into memory ends at once.
 */
export function planBatches(lengths: ArrayLike<number>, settings: BatchSettings, epoch: number): Uint32Array[] {
  const { batchSize, groupByLength, disableShuffling, seed } = settings;
  const samples = lengths.length;
  const order = disableShuffling
    ? Uint32Array.from({ length: samples }, (_, index) => index)
    : permutation(samples, hashKey('samples of an epoch', seed, epoch));
  const grouped = groupByLength && !disableShuffling;
  if (grouped) {
    const stretch = megaBatchSize(samples, batchSize);
    for (let start = 0; start < samples; start += stretch) {
      // Ties keep their shuffled order: sorting is stable.
      const sorted = [...order.subarray(start, start + stretch)].sort((a, b) => lengths[b]! - lengths[a]!);
      order.set(sorted, start);
    }
  }
  const count = batchCount(samples, batchSize);
  const batches = Array.from({ length: count }, (_, index) => order.slice(index * batchSize, (index + 1) * batchSize));
  if (!grouped) return batches;
  const shuffled = Array.from(
    permutation(count, hashKey('batches of an epoch', seed, epoch)),
    (index) => batches[index]!,
  );
  let longest = 0;
  for (let index = 1; index < count; index++) {
    // Within a batch the longest sample is the first.
    if (lengths[shuffled[index]![0]!]! > lengths[shuffled[longest]![0]!]!) longest = index;
  }
  const first = shuffled[0];
  if (first !== undefined && longest > 0) {
    shuffled[0] = shuffled[longest]!;
    shuffled[longest] = first;
  }
  return shuffled;
}
