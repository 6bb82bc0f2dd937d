/** The forms that a training step can take: one program, or segments, as fine as the memory asks. */

/** One program for the whole step. */
export interface WholeForm {
  readonly kind: 'whole';
}

/** Where the inputs of the layers wait for the backward pass. */
export type KeptIn = 'memory' | 'bfloat16' | 'disk';

/** Programs for groups of layers, run in turn. */
export interface SegmentedForm {
  readonly kind: 'segmented';
  readonly layersPerSegment: number;
  /**
   * Cuts every layer around its attention, and runs what stands before and behind it on at most so many tokens at a time;
   * left out: layers stay whole.
   */
  readonly tokensAtOnce?: number | undefined;
  /**
   * The output layer and the loss over stretches of the vocabulary and of the labelled rows, with so many bytes of the output
   * table in f32 at a time; left out: at once.
   */
  readonly headBytes?: number | undefined;
  /** Left out: in memory, as they are. */
  readonly keptIn?: KeptIn | undefined;
}

export type PlanForm = WholeForm | SegmentedForm;
