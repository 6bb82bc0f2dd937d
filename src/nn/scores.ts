/** What some families do to attention scores before the softmax: a soft cap, or a bias that grows with distance. */
import * as g from '../graph/index.ts';

/** cap tanh(scores / cap) (Gemma 2). */
export function softCapped(scores: g.Node, cap: number | undefined): g.Node {
  if (cap === undefined) return scores;
  return g.mul(g.tanh(g.mul(scores, g.scalar(1 / cap))), g.scalar(cap));
}

/**
 * The bias for scores f32[B, K, H/K, T, S].
 * @param keys int64 positions that broadcast to [B, 1, 1, 1, S]; @param queries to [B, 1, 1, T, 1].
 */
export function alibiBias({ slopes, roundedScale }: g.Alibi, groups: number, keys: g.Node, queries: g.Node): g.Node {
  const column = g.constant([...slopes], [1, groups, slopes.length / groups, 1, 1]);
  if (roundedScale === undefined) return g.mul(column, g.cast(g.sub(keys, queries), 'float32'));
  const rounded = (x: g.Node): g.Node => g.cast(g.cast(x, 'bfloat16'), 'float32');
  return g.mul(rounded(g.mul(rounded(column), g.cast(keys, 'float32'))), g.scalar(roundedScale));
}

/** The slopes of `count` heads: powers of 2^(-8/n) for the next lower power of two n, then every other one of 2^(-4/n). */
export function alibiSlopes(count: number): number[] {
  const closest = 2 ** Math.floor(Math.log2(count));
  const series = (n: number, step: number, length: number): number[] =>
    Array.from({ length }, (_, i) => 2 ** (-(8 / n) * (1 + i * step)));
  return [...series(closest, 1, closest), ...series(2 * closest, 2, count - closest)];
}
