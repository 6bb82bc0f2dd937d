/**
 * Causal attention of new tokens over a cache of earlier ones. The cache is an input and is never copied: scores against
 * it and against the new tokens are computed apart and share one softmax.
 */
import * as g from '../graph/index.ts';
import type { AttentionOptions } from './attention.ts';
import { fromHeadRows, type RowLayout, toHeadRows } from './head-rows.ts';
import { alibiBias, softCapped } from './scores.ts';

/** What one layer remembers of B rows: room for C tokens each, of which the first `lengths[b]` are there. */
export interface LayerCache {
  /** f32[B, K, C, E], positions turned in. */
  readonly keys: g.Node;
  /** f32[B, K, C, E]. */
  readonly values: g.Node;
}

/** The caches' nodes as inputs of a graph. */
export function layerCacheInputs(layer: number, groups: number, size: number): LayerCache {
  const shape = ['B', groups, 'C', size];
  return {
    keys: g.input(`cache_keys_${layer}`, 'float32', shape),
    values: g.input(`cache_values_${layer}`, 'float32', shape),
  };
}

/** How far each row's cache is filled. */
export interface CacheLayout extends RowLayout {
  /** int64[B]. */
  readonly lengths: g.Node;
  /** int64[C]: 0 to C - 1. */
  readonly cacheSteps: g.Node;
}

/**
 * softmax(scale q [cache k]ᵀ + mask) [cache v].
 * @param q f32[N, H, E]; @param k f32[N, K, E]; @param v f32[N, K, E]: the new tokens, T of each of the B rows.
 * @returns f32[N, H x E].
 */
export function cachedAttention(
  q: g.Node,
  k: g.Node,
  v: g.Node,
  cache: LayerCache,
  layout: CacheLayout,
  { scale, window, softCap, alibi }: AttentionOptions,
): g.Node {
  const headRows = toHeadRows(q, k, v, layout);
  const { queries, keys: newKeys, values: newValues, groups, perGroup, size } = headRows;

  const query = g.reshape(layout.steps, [1, 1, 1, 'T', 1]);
  const key = g.reshape(layout.steps, [1, 1, 1, 1, 'T']);
  let newVisible: g.Node = g.greaterOrEqual(query, key);
  // [B, 1, 1, T, C]: position of query t in row b is lengths[b] + t
  const lengths = g.reshape(layout.lengths, ['B', 1, 1, 1, 1]);
  const place = g.reshape(layout.cacheSteps, [1, 1, 1, 1, 'C']);
  const queryPosition = g.add(lengths, g.reshape(layout.steps, [1, 1, 1, 'T', 1]));
  const keyPosition = g.add(lengths, g.reshape(layout.steps, [1, 1, 1, 1, 'T']));
  let cacheVisible: g.Node = g.less(place, lengths);
  if (window !== undefined) {
    const limit = g.scalar(window, 'int64');
    newVisible = g.and(newVisible, g.less(g.sub(query, key), limit));
    cacheVisible = g.and(cacheVisible, g.less(g.sub(queryPosition, place), limit));
  }
  const hidden = g.scalar(-Infinity);
  // heads of a group stand below one another, as their queries do
  const stacked = (x: g.Node, columns: string): g.Node =>
    g.reshape(g.expand(x, ['B', x.shape[1]!, perGroup, 'T', columns]), ['B', x.shape[1]!, 'GT', columns]);
  const scores = (keys: g.Node, columns: string, visible: g.Node, places: g.Node): g.Node => {
    const products = softCapped(g.matmul(queries, keys, { transposeB: true, alpha: scale }), softCap);
    const biased = alibi
      ? g.add(products, stacked(alibiBias(alibi, groups, places, queryPosition), columns))
      : products;
    return g.add(biased, stacked(g.where(visible, g.scalar(0), hidden), columns));
  };
  const cacheScores = scores(cache.keys, 'C', cacheVisible, place);
  const newScores = scores(newKeys, 'T', newVisible, keyPosition);
  const mixed = g.add(
    g.matmul(g.jointSoftmax(cacheScores, newScores, 'first'), cache.values),
    g.matmul(g.jointSoftmax(cacheScores, newScores, 'second'), newValues),
  );
  return fromHeadRows(g.reshape(mixed, ['B', groups, perGroup, 'T', size]), headRows, layout);
}
