/**
 * Causal attention over tokens that lie one after the other, block of queries by block of queries: only the keys that a
 * block can see are read, and no table of all scores exists. The gradient computes the probabilities again (Rabe and Staats
 * 2021; Dao et al. 2022).
 */
import { makeNode, type Node } from '../node.ts';
import type { ScoreRule } from '../score-rule.ts';
import { formatShape, sameShape } from '../shape.ts';
import { require, requireDtype } from './check.ts';

/** How tokens are cut into blocks; `planAttentionBlocks` makes the values. */
export interface BlockLayout {
  /** int64[M, 4]: first query, end of queries, first key and key heads at a time of each block, in order. */
  readonly blocks: Node;
  /** f32[N]: 0 to N - 1. */
  readonly numbers: Node;
  /** f32[N]: number of the first token of each token's sequence. */
  readonly starts: Node;
}

/**
 * softmax of the scores that the rule makes of q kᵀ, times v; a token sees its own sequence up to itself.
 * @param q f32[N, H, E]; @param k f32[N, K, E]; @param v f32[N, K, E], H a multiple of K.
 * @returns f32[N, H x E].
 */
export function blockAttention(
  q: Node,
  k: Node,
  v: Node,
  layout: BlockLayout,
  rule: ScoreRule,
): Node<'blockAttention'> {
  requireHeads('blockAttention', q, k, v);
  const { blocks, numbers, starts } = layout;
  requireDtype('blockAttention', [blocks], ['int64']);
  require(blocks.shape.length === 2 &&
    blocks.shape[1] === 4 &&
    [numbers, starts].every(
      ({ shape }) => shape.length === 1 && shape[0] === q.shape[0],
    ), 'blockAttention', 'blocks of shape [M, 4], numbers and starts of shape [N]', () =>
    [blocks, numbers, starts].map((node) => formatShape(node.shape)).join(', '));
  const [tokens, heads, size] = q.shape as [Node['shape'][number], number, number];
  return makeNode('blockAttention', [q, k, v, blocks, numbers, starts], { rule }, 'float32', [tokens, heads * size]);
}

/** The gradient of `blockAttention` with respect to its q, k or v, from its result y and the gradient dy that arrives there. */
export function blockAttentionGradient(
  inputs: readonly Node[],
  y: Node,
  dy: Node,
  rule: ScoreRule,
  of: 'q' | 'k' | 'v',
): Node<'blockAttentionGradient'> {
  const [q, k, v] = inputs as [Node, Node, Node];
  requireHeads('blockAttentionGradient', q, k, v);
  require(sameShape(y.shape, dy.shape), 'blockAttentionGradient', `a gradient of shape ${formatShape(y.shape)}`, () =>
    formatShape(dy.shape));
  const { shape } = of === 'q' ? q : k;
  return makeNode('blockAttentionGradient', [...inputs, y, dy], { rule, of }, 'float32', shape);
}

function requireHeads(op: string, q: Node, k: Node, v: Node): void {
  requireDtype(op, [q, k, v], ['float32']);
  const [tokens, heads, size] = q.shape;
  const [, groups] = k.shape;
  require(q.shape.length === 3 &&
    typeof heads === 'number' &&
    typeof groups === 'number' &&
    typeof size === 'number' &&
    heads % groups === 0 &&
    sameShape(k.shape, [tokens!, groups, size]) &&
    sameShape(v.shape, k.shape), op, 'q of shape [N, H, E], k and v of shape [N, K, E], H a multiple of K', () =>
    [q, k, v].map((node) => formatShape(node.shape)).join(', '));
}
