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

  const query = g.reshape(layout.steps, ['T', 1]);
  const key = g.reshape(layout.steps, [1, 'T']);
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
  const masked = (scores: g.Node, columns: string, visible: g.Node, keys: g.Node): g.Node => {
    const capped = softCapped(g.reshape(scores, ['B', groups, perGroup, 'T', columns]), softCap);
    const biased = alibi ? g.add(capped, alibiBias(alibi, groups, keys, queryPosition)) : capped;
    return g.add(biased, g.where(visible, g.scalar(0), hidden));
  };
  const cacheScores = masked(
    g.matmul(queries, cache.keys, { transposeB: true, alpha: scale }),
    'C',
    cacheVisible,
    place,
  );
  const newScores = masked(
    g.matmul(queries, newKeys, { transposeB: true, alpha: scale }),
    'T',
    newVisible,
    keyPosition,
  );

  // one normaliser for both parts
  const max = maximum(g.reduceMax(cacheScores, [-1]), g.reduceMax(newScores, [-1]));
  const cacheWeights = g.exp(g.sub(cacheScores, max));
  const newWeights = g.exp(g.sub(newScores, max));
  const total = g.add(g.reduceSum(cacheWeights, [-1]), g.reduceSum(newWeights, [-1]));
  const flat = (x: g.Node, columns: string): g.Node => g.reshape(x, ['B', groups, 'GT', columns]);
  const mixed = g.add(g.matmul(flat(cacheWeights, 'C'), cache.values), g.matmul(flat(newWeights, 'T'), newValues));
  const normalized = g.div(g.reshape(mixed, ['B', groups, perGroup, 'T', size]), total);
  return fromHeadRows(normalized, headRows, layout);
}

function maximum(a: g.Node, b: g.Node): g.Node {
  return g.where(g.greaterOrEqual(a, b), a, b);
}
