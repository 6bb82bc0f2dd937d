/** What an update rule is to the training loop: it reads gradients, writes parameters and names its state. */

/** A parameter as an update rule sees it: two flat arrays of equal length. */
export interface OptimizedTensor {
  readonly name: string;
  /** f32, written in place. */
  readonly data: Float32Array;
  /** f32, only read. */
  readonly gradient: Float32Array;
}

/** One array of an optimiser's state, under a name that is stable over runs, e.g. `exp_avg.<parameter>`. */
export interface OptimizerTensor {
  readonly name: string;
  /** The live array: copy it to keep it. */
  readonly data: Float32Array;
}

/** An update rule bound to its parameters. */
export interface Optimizer {
  /** Steps taken so far, those before a resume included. */
  readonly stepsTaken: number;
  /**
   * Updates every parameter once. Each gradient is multiplied by `gradientScale` first, which folds the division by
   * the trained tokens and the clipping into the one pass over memory.
   */
  step(learningRate: number, gradientScale: number): void;
  /** All state that a resumed run needs beside `stepsTaken`. */
  state(): OptimizerTensor[];
  /**
   * Puts a saved state back.
   * @throws RangeError if an array is missing or has another length than its parameter.
   */
  restore(stepsTaken: number, state: ReadonlyMap<string, Float32Array>): void;
}

/** Copies a saved array over a live one, checking that it is the right one. */
export function restoreTensor(target: Float32Array, name: string, state: ReadonlyMap<string, Float32Array>): void {
  const saved = state.get(name);
  if (saved === undefined || saved.length !== target.length) {
    throw new RangeError(
      `optimizer state "${name}" must hold ${target.length} numbers, got ${saved === undefined ? 'none' : saved.length}`,
    );
  }
  target.set(saved);
}
