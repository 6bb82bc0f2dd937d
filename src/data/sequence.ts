/** What the data room hands to the trainer. Knows no tensors. */

/** Label of a token that is not trained, as in Hugging Face's libraries. */
export const ignoredLabel = -100;

/** One tokenised conversation or text: what one row (or one piece of it) becomes. */
export interface Sequence {
  /** Token ids, i32[T]. */
  readonly inputIds: Int32Array;
  /** i32[T], aligned with `inputIds` as Hugging Face has it: the id itself where it is trained, else -100. */
  readonly labels: Int32Array;
  /** f32[T], the weight of each trained label; left out means 1 everywhere. */
  readonly weights?: Float32Array;
  /** Row number counted from 0 over all data sets of the config, before sampling and shuffling. */
  readonly row: number;
}

/**
 * One sample of a batch: one sequence, or several that were packed. Packed sequences stay apart: none sees another,
 * positions start at 0 in each.
 */
export type Sample = readonly Sequence[];
