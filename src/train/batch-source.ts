/** What the loop needs of the data: micro-batches that are a pure function of (epoch, index), so that a cursor finds its place. */
import type { Sequence } from '../data/index.ts';

/** The samples of one forward and backward pass. Packed samples are given as their sequences. */
export interface TrainBatch {
  readonly sequences: readonly Sequence[];
  /** Samples, of which a packed one counts once. */
  readonly samples: number;
}

/** All micro-batches of a run. */
export interface BatchSource {
  readonly batchesPerEpoch: number;
  /** Micro-batch `index` of epoch `epoch`, both counted from 0. */
  batch(epoch: number, index: number): TrainBatch | Promise<TrainBatch>;
  /** The batches of an evaluation, in a fixed order; empty where there is none. */
  readonly evaluation: readonly TrainBatch[];
}
