/**
 * Causal attention of new tokens over a cache of earlier ones. The cache is an input and is never copied: scores against
 * it and against the new tokens are computed apart and share one softmax.
 */
import * as g from '../graph/index.ts';
import type { AttentionOptions } from './attention.ts';
import type { RowLayout } from './head-rows.ts';
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

/** What attention over a cache gives. */
export interface CachedAttention {
  /** f32[N, H x E]. */
  readonly mixed: g.Node;
  /** Keys and values of the new tokens as the cache takes them, f32[N, 2 x K x E]: all keys of a token, then its values. */
  readonly newEntries: g.Node;
}

/** Biases of the scores f32[B, K or 1, GT, C + T]: where each query sees the cache and the new tokens, and ALiBi. */
function scoreBias(
  groups: number,
  perGroup: number,
  { lengths: rowLengths, cacheSteps, steps }: CacheLayout,
  { window, alibi }: AttentionOptions,
): g.Node {
  const query = g.reshape(steps, [1, 1, 1, 'T', 1]);
  const key = g.reshape(steps, [1, 1, 1, 1, 'T']);
  let newVisible: g.Node = g.greaterOrEqual(query, key);
  // [B, 1, 1, T, C]: position of query t in row b is lengths[b] + t
  const lengths = g.reshape(rowLengths, ['B', 1, 1, 1, 1]);
  const place = g.reshape(cacheSteps, [1, 1, 1, 1, 'C']);
  const queryPosition = g.add(lengths, query);
  const keyPosition = g.add(lengths, key);
  let cacheVisible: g.Node = g.less(place, lengths);
  if (window !== undefined) {
    const limit = g.scalar(window, 'int64');
    newVisible = g.and(newVisible, g.less(g.sub(query, key), limit));
    cacheVisible = g.and(cacheVisible, g.less(g.sub(queryPosition, place), limit));
  }
  const heads = alibi ? groups : 1;
  // heads of a group stand below one another, as their queries do
  const stacked = (visible: g.Node, places: g.Node, columns: string): g.Node => {
    const mask = g.where(visible, g.scalar(0), g.scalar(-Infinity));
    const biased = alibi ? g.add(alibiBias(alibi, groups, places, queryPosition), mask) : mask;
    return g.reshape(g.expand(biased, ['B', heads, perGroup, 'T', columns]), ['B', heads, 'GT', columns]);
  };
  return g.concat([stacked(cacheVisible, place, 'C'), stacked(newVisible, keyPosition, 'T')], 3, 'C+T');
}

/**
 * softmax(scale q [cache k]ᵀ + mask) [cache v].
 * @param q f32[N, H, E]; @param k f32[N, K, E]; @param v f32[N, K, E]: the new tokens, T of each of the B rows.
 * @param biases those that layers before made, by what they depend on.
 */
export function cachedAttention(
  q: g.Node,
  k: g.Node,
  v: g.Node,
  cache: LayerCache,
  layout: CacheLayout,
  options: AttentionOptions,
  biases: Map<string, g.Node>,
): CachedAttention {
  const [, heads, size] = q.shape as [g.Dim, number, number];
  const groups = k.shape[1] as number;
  const perGroup = heads / groups;
  const all = heads + 2 * groups;
  const { scale, window, softCap, alibi } = options;

  // queries, keys and values go from tokens to rows together
  const flat = (x: g.Node): g.Node => g.reshape(x, ['N', (x.shape[1] as number) * size]);
  const tokens = g.concat([flat(q), flat(k), flat(v)], 1);
  const slots = g.permuteRows(tokens, layout.slotToken, layout.tokenSlot, 'any');
  const rows = g.transpose(g.reshape(slots, ['B', 'T', all, size]), [0, 2, 1, 3]);
  const queries = g.reshape(g.slice(rows, 1, 0, heads), ['B', groups, 'GT', size]);
  const newKeys = g.slice(rows, 1, heads, heads + groups);
  const newValues = g.slice(rows, 1, heads + groups, all);

  const key = JSON.stringify([window, alibi, groups]);
  const bias = biases.get(key) ?? scoreBias(groups, perGroup, layout, options);
  biases.set(key, bias);
  const scores = (keys: g.Node): g.Node =>
    softCapped(g.matmul(queries, keys, { transposeB: true, alpha: scale }), softCap);
  const cacheScores = scores(cache.keys);
  const newScores = scores(newKeys);
  const mixed = g.add(
    g.matmul(g.jointSoftmax(cacheScores, newScores, bias, 'first'), cache.values),
    g.matmul(g.jointSoftmax(cacheScores, newScores, bias, 'second'), newValues),
  );
  const mixedRows = g.transpose(g.reshape(mixed, ['B', heads, 'T', size]), [0, 2, 1, 3]);
  return {
    mixed: g.permuteRows(g.reshape(mixedRows, ['S', heads * size]), layout.tokenSlot, layout.slotToken, 'none'),
    newEntries: g.slice(tokens, 1, heads * size, all * size),
  };
}
