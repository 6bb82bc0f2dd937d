/**
 * Causal attention over padding-free tokens. Linear layers see the real tokens only, f32[N, D]; around the products
 * they are laid out as padded rows [B, T] and gathered back (permuteRows), so padding costs nothing but attention.
 */
import * as g from '../graph/index.ts';
import { type Alibi, alibiBias, softCapped } from './scores.ts';

/** How the N tokens of a batch lie in padded rows; B rows of T slots, S = B x T. */
export interface RowLayout {
  /** int64[S]: the token of each slot; N where there is none. */
  readonly slotToken: g.Node;
  /** int64[N]: the slot of each token. */
  readonly tokenSlot: g.Node;
  /** int64[T]: 0 to T - 1. */
  readonly steps: g.Node;
}

/** The layout's nodes as inputs of a graph. */
export function rowLayoutInputs(): RowLayout {
  return {
    slotToken: g.input('slot_token', 'int64', ['S']),
    tokenSlot: g.input('token_slot', 'int64', ['N']),
    steps: g.input('steps', 'int64', ['T']),
  };
}

export interface AttentionOptions {
  /** Factor of the scores, usually 1 / sqrt(E). */
  readonly scale: number;
  /** A token sees itself and the `window` - 1 tokens before it; left out: all before it. */
  readonly window?: number | undefined;
  /** Scores stay between -softCap and softCap. */
  readonly softCap?: number | undefined;
  readonly alibi?: Alibi | undefined;
}

/** 0 where query t sees key s, -Infinity elsewhere: f32[T, T]. */
function causalBias(steps: g.Node, window: number | undefined): g.Node {
  const query = g.reshape(steps, ['T', 1]);
  const key = g.reshape(steps, [1, 'T']);
  let visible: g.Node = g.greaterOrEqual(query, key);
  if (window !== undefined) visible = g.and(visible, g.less(g.sub(query, key), g.scalar(window, 'int64')));
  return g.where(visible, g.scalar(0), g.scalar(-Infinity));
}

/**
 * softmax(scale q kᵀ + causal mask) v with grouped heads, the scores capped and biased as the options say.
 * @param q f32[N, H, E]; @param k f32[N, K, E]; @param v f32[N, K, E], H a multiple of K.
 * @returns f32[N, H x E].
 */
export function attention(q: g.Node, k: g.Node, v: g.Node, layout: RowLayout, options: AttentionOptions): g.Node {
  const [, heads, size] = q.shape as [g.Dim, number, number];
  const groups = k.shape[1] as number;
  const perGroup = heads / groups;
  const toRows = (x: g.Node, count: number): g.Node =>
    g.reshape(g.permuteRows(g.reshape(x, ['N', count * size]), layout.slotToken, layout.tokenSlot, 'any'), [
      'B',
      'T',
      count,
      size,
    ]);
  // every query head of a group meets the same keys: stacked, they are one product
  const queries = g.reshape(
    g.transpose(g.reshape(toRows(q, heads), ['B', 'T', groups, perGroup, size]), [0, 2, 3, 1, 4]),
    ['B', groups, 'GT', size],
  );
  const keys = g.transpose(toRows(k, groups), [0, 2, 1, 3]);
  const values = g.transpose(toRows(v, groups), [0, 2, 1, 3]);
  const scores = g.matmul(queries, keys, { transposeB: true, alpha: options.scale });
  const grouped: g.Shape = ['B', groups, perGroup, 'T', 'T'];
  const capped = softCapped(g.reshape(scores, grouped), options.softCap);
  const positions = (shape: g.Shape): g.Node => g.reshape(layout.steps, shape);
  const biased = options.alibi
    ? g.add(capped, alibiBias(options.alibi, groups, positions([1, 1, 1, 1, 'T']), positions([1, 1, 1, 'T', 1])))
    : capped;
  const masked = g.add(biased, causalBias(layout.steps, options.window));
  const probabilities = g.reshape(g.softmax(masked), ['B', groups, 'GT', 'T']);
  const mixed = g.reshape(g.matmul(probabilities, values), ['B', groups, perGroup, 'T', size]);
  const rows = g.reshape(g.transpose(mixed, [0, 3, 1, 2, 4]), ['S', heads * size]);
  return g.permuteRows(rows, layout.tokenSlot, layout.slotToken, 'none');
}
