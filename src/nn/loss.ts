/** Losses on labelled rows only: rows without a label never reach the output layer. */
import * as g from '../graph/index.ts';

/** The labelled rows of a batch: R of its N tokens. */
export interface LabelledRows {
  /** int64[R]: the token whose next token is trained. */
  readonly rows: g.Node;
  /** int64[R, 1]: that next token. */
  readonly labels: g.Node;
  /** f32[R, 1]. */
  readonly weights: g.Node;
}

/** The labels' nodes as inputs of a graph. */
export function labelledRowInputs(): LabelledRows {
  return {
    rows: g.input('label_rows', 'int64', ['R']),
    labels: g.input('labels', 'int64', ['R', 1]),
    weights: g.input('label_weights', 'float32', ['R', 1]),
  };
}

/** Sum of weight x cross-entropy over rows: logits f32[R, V]; f32[1, 1]. */
export function weightedCrossEntropy(logits: g.Node, { labels, weights }: LabelledRows): g.Node {
  const losses = g.crossEntropy(logits, g.softmax(logits), labels);
  return g.reduceSum(g.mul(losses, weights), [0, 1]);
}
