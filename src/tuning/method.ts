/** What a tuning method tells the trainer: which tensors move, where they start, and the model's parameters as nodes. */
import type { ParameterSource } from '../models/index.ts';

/** Where a tensor that moves starts. */
export type Start =
  | { readonly kind: 'zeros' }
  | { readonly kind: 'values'; readonly make: (seed: number) => Float32Array }
  /** A tensor of the checkpoint; rows that it lacks start near the mean of its own. */
  | { readonly kind: 'stored'; readonly source: string }
  /** Some rows of a tensor of the checkpoint; `newRows` of them start near the mean of the rows before them. */
  | {
      readonly kind: 'rows';
      readonly source: string;
      readonly rows: readonly number[];
      readonly newRows: readonly number[];
    };

/** A tensor that training moves; an input of the graph under its name. */
export interface Trainable {
  readonly name: string;
  readonly shape: readonly number[];
  readonly start: Start;
}

/** A dropout mask: uint8[N x rowsPerToken, width] input, 1 keeps an element. */
export interface DropoutSite {
  readonly input: string;
  readonly width: number;
  readonly probability: number;
  /** 1 but for experts, which get several rows for each token. */
  readonly rowsPerToken: number;
}

/** One way of choosing what moves. */
export interface TuningMethod {
  readonly trainables: readonly Trainable[];
  readonly dropoutSites: readonly DropoutSite[];
  /** Token ids whose embedding rows move alone; empty where none do. */
  readonly movedTokenIds: readonly number[];
  /** Rows of the embedding table as programs see it: larger ids stand for rows that move. */
  readonly storedRows: number;
  /** The parameters as nodes; dropout only where `training`. */
  source(training: boolean): ParameterSource;
}
