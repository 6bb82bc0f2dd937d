/** How attention makes scores of products of queries and keys, and which keys a query sees. */

/** Attention with linear biases (Press et al. 2022): slope x (key position - query position) is added to each score. */
export interface Alibi {
  /** One for each query head. */
  readonly slopes: readonly number[];
  /**
   * Falcon's form: slope and slope x key position are rounded to bfloat16, and the product is scaled by this factor; the
   * query's position cancels in the softmax.
   */
  readonly roundedScale?: number;
}

/** The rule of one layer. */
export interface ScoreRule {
  /** Factor of the scores, usually 1 / sqrt(E). */
  readonly scale: number;
  /** A token sees itself and the `window` - 1 tokens before it; left out: all before it. */
  readonly window?: number | undefined;
  /** Scores stay between -softCap and softCap. */
  readonly softCap?: number | undefined;
  readonly alibi?: Alibi | undefined;
}
