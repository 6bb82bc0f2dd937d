/**
 * Causal attention over padding-free tokens, f32[N, D], in one of three forms. In blocks: memory linear in the length,
 * nothing computed that no query sees. In rows: for short rows, laid out as padded rows [B, T] around the products and
 * gathered back, so padding costs nothing but attention. Both are one operation, for the CPU. As a square: the latter of
 * standard operations alone, for every device.
 */
import * as g from '../graph/index.ts';
import { fromHeadRows, type RowLayout, toHeadRows } from './head-rows.ts';
import { alibiBias, softCapped } from './scores.ts';

/** How a layer makes its scores. */
export type AttentionOptions = g.ScoreRule;

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
export function attention(
  q: g.Node,
  k: g.Node,
  v: g.Node,
  layout: RowLayout | g.BlockLayout,
  options: AttentionOptions,
): g.Node {
  return g.causalAttention(q, k, v, layout, options);
}

/** `attention` over padded rows, of standard operations alone. */
export function squareAttention(q: g.Node, k: g.Node, v: g.Node, layout: RowLayout, options: AttentionOptions): g.Node {
  const rows = toHeadRows(q, k, v, layout);
  const { queries, keys, values, groups, perGroup, size } = rows;
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
  return fromHeadRows(mixed, rows, layout);
}
