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
   * Layers at the end that are one program with the head: it keeps their activations, so that they are not computed again.
   * Left out: none. Not where the head is cut.
   */
  readonly tailLayers?: number | undefined;
  /**
   * Segments whose products wait in memory for the backward pass, so that it computes just the rest again: the last ones before
   * the tail. Left out: none. Not where layers are cut.
   */
  readonly keptLayers?: number | undefined;
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

/** Whether what attention gives in cut layers waits for the backward pass too, which need not compute it again: a file has room. */
export function keepsAttended({ keptIn }: Pick<SegmentedForm, 'keptIn'>): boolean {
  return keptIn === 'disk';
}

/** What a form says of itself in plans. */
export interface FormDescription {
  readonly step_plan: 'whole' | 'segmented';
  /** Tokens that a layer's parts before and behind its attention take at a time. */
  readonly tokens_at_once: number | 'all';
  /** The output layer and the loss: over all of the vocabulary, or over stretches of it. */
  readonly output_layer: 'at once' | 'in stretches';
  /** Where the inputs of the layers wait for the backward pass; `none` where all activations are kept. */
  readonly layer_inputs: KeptIn | 'none';
}

/** Describes a form. */
export function describeForm(form: PlanForm): FormDescription {
  if (form.kind === 'whole') {
    return { step_plan: 'whole', tokens_at_once: 'all', output_layer: 'at once', layer_inputs: 'none' };
  }
  return {
    step_plan: 'segmented',
    tokens_at_once: form.tokensAtOnce ?? 'all',
    output_layer: form.headBytes === undefined ? 'at once' : 'in stretches',
    layer_inputs: form.keptIn ?? 'memory',
  };
}
