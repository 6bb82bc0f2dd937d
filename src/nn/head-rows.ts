/** Heads of padding-free tokens as padded rows, and back: the two layouts around the products of attention. */
import * as g from '../graph/index.ts';

export type RowLayout = g.RowLayout;

/** Rows have at least so many slots, so that none of their stretches is empty. */
export const shortestRow = g.rowStretches;

/** The layout's nodes as inputs of a graph. */
export function rowLayoutInputs(): RowLayout {
  return {
    slotToken: g.input('slot_token', 'int64', ['S']),
    tokenSlot: g.input('token_slot', 'int64', ['N']),
    steps: g.input('steps', 'int64', ['T']),
  };
}

/** Queries, keys and values in rows: every query head of a group meets the same keys, so that stacked they are one product. */
export interface HeadRows {
  /** f32[B, K, H/K x T, E]. */
  readonly queries: g.Node;
  /** f32[B, K, T, E]. */
  readonly keys: g.Node;
  /** f32[B, K, T, E]. */
  readonly values: g.Node;
  readonly groups: number;
  readonly perGroup: number;
  readonly size: number;
}

/** @param q f32[N, H, E]; @param k f32[N, K, E]; @param v f32[N, K, E], H a multiple of K. */
export function toHeadRows(q: g.Node, k: g.Node, v: g.Node, layout: RowLayout): HeadRows {
  const [, heads, size] = q.shape as [g.Dim, number, number];
  const groups = k.shape[1] as number;
  const perGroup = heads / groups;
  const toRows = (x: g.Node, count: number): g.Node => {
    const slots = g.permuteRows(g.reshape(x, ['N', count * size]), layout.slotToken, layout.tokenSlot, 'any');
    return g.reshape(slots, ['B', 'T', count, size]);
  };
  const grouped = g.reshape(toRows(q, heads), ['B', 'T', groups, perGroup, size]);
  return {
    queries: g.reshape(g.transpose(grouped, [0, 2, 3, 1, 4]), ['B', groups, 'GT', size]),
    keys: g.transpose(toRows(k, groups), [0, 2, 1, 3]),
    values: g.transpose(toRows(v, groups), [0, 2, 1, 3]),
    groups,
    perGroup,
    size,
  };
}

/** What attention gives, f32[B, K, H/K, T, E], as tokens f32[N, H x E]. */
export function fromHeadRows(mixed: g.Node, { groups, perGroup, size }: HeadRows, layout: RowLayout): g.Node {
  const rows = g.reshape(g.transpose(mixed, [0, 3, 1, 2, 4]), ['S', groups * perGroup * size]);
  return g.permuteRows(rows, layout.tokenSlot, layout.slotToken, 'none');
}
