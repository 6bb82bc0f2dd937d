/** The seam between the training loop, which knows steps and files, and the engine, which knows graphs and tensors. */
import type { Sequence } from '../data/index.ts';

/** A tensor that training moves. `data` and `gradient` are views that stay valid for the engine's life. */
export interface TrainableTensor {
  /** Parameter name without prefix, e.g. `model.layers.0.self_attn.q_proj.lora_A.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  /** f32, row-major. The optimiser writes it in place; the engine reads it at the next call. */
  readonly data: Float32Array;
  /** f32, same layout. `accumulate` adds to it; the loop sets it to zero. */
  readonly gradient: Float32Array;
}

/** Says which random numbers dropout draws: equal keys give equal masks, in any plan and after any resume. */
export interface DropoutKey {
  readonly seed: number;
  readonly step: number;
  readonly microBatch: number;
}

/** Sums, not means: the loop divides by the weight of its whole accumulation window. */
export interface LossSums {
  /** Sum of weight x cross-entropy (natural logarithm) over the trained labels. */
  readonly lossSum: number;
  /** Sum of the weights of the trained labels (their number where no weights are given). */
  readonly weightSum: number;
}

/** A model, its tuning method and its loss, ready to be stepped. */
export interface TrainEngine {
  readonly parameters: readonly TrainableTensor[];
  /** Forward and backward over one micro-batch (padding-free); adds the gradients of `lossSum` to `gradient`. */
  accumulate(
    batch: readonly Sequence[],
    dropout: DropoutKey,
    onProgress?: (fraction: number) => void,
  ): Promise<LossSums>;
  /** Forward only, without dropout. */
  evaluate(batch: readonly Sequence[]): Promise<LossSums>;
  /** Frees everything that the runtime holds. The tensors' arrays stay readable. */
  release(): Promise<void>;
}
