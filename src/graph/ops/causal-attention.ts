/**
 * Causal attention as one operation, whose gradient computes the probabilities again from queries and keys, so that no table
 * of scores is kept (Rabe and Staats 2021; Dao et al. 2022). Two forms: tokens in blocks of queries, each over just the keys
 * that it can see, for rows of any length; or short rows of about equal length side by side, padded.
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
 * Stretches into which the queries of padded rows are cut: more of them skip more of what the mask empties, and cost more small
 * steps (NOTES.md).
 */
export const rowStretches = 4;

/** How the N tokens of a batch lie in padded rows; B rows of T slots, S = B x T, T at least `rowStretches`. */
export interface RowLayout {
  /** int64[S]: the token of each slot; N where there is none. */
  readonly slotToken: Node;
  /** int64[N]: the slot of each token. */
  readonly tokenSlot: Node;
  /** int64[T]: 0 to T - 1. */
  readonly steps: Node;
}

/**
 * softmax of the scores that the rule makes of q kᵀ, times v; a token sees its own sequence up to itself.
 * @param q f32[N, H, E]; @param k f32[N, K, E]; @param v f32[N, K, E], H a multiple of K.
 * @returns f32[N, H x E].
 */
export function causalAttention(
  q: Node,
  k: Node,
  v: Node,
  layout: BlockLayout | RowLayout,
  rule: ScoreRule,
): Node<'causalAttention'> {
  if ('blocks' in layout) return makeAttention([q, k, v, layout.blocks, layout.numbers, layout.starts], rule, 'blocks');
  return makeAttention([q, k, v, layout.slotToken, layout.tokenSlot, layout.steps], rule, 'rows');
}

/** `causalAttention` of its inputs in their order. */
export function makeAttention(
  inputs: readonly Node[],
  rule: ScoreRule,
  form: 'rows' | 'blocks',
): Node<'causalAttention'> {
  const [q, k, v, ...layout] = inputs as [Node, Node, Node, ...Node[]];
  requireHeads('causalAttention', q, k, v);
  const [tokens, heads, size] = q.shape as [Node['shape'][number], number, number];
  const [first, second, third] = layout as [Node, Node, Node];
  const perToken = ({ shape }: Node): boolean => shape.length === 1 && shape[0] === tokens;
  if (form === 'blocks') {
    requireDtype('causalAttention', [first], ['int64']);
    requireDtype('causalAttention', [second, third], ['float32']);
    require(first.shape.length === 2 &&
      first.shape[1] === 4 &&
      perToken(second) &&
      perToken(third), 'causalAttention', 'blocks of shape [M, 4], numbers and starts of shape [N]', () =>
      layout.map((node) => formatShape(node.shape)).join(', '));
  } else {
    requireDtype('causalAttention', layout, ['int64']);
    require(first.shape.length === 1 &&
      perToken(second) &&
      third.shape.length ===
        1, 'causalAttention', 'slots of shape [S], their inverse of shape [N], steps of shape [T]', () =>
      layout.map((node) => formatShape(node.shape)).join(', '));
  }
  return makeNode('causalAttention', inputs, { rule, form }, 'float32', [tokens, heads * size]);
}

/** The gradient of `causalAttention` with respect to its q, k or v, from its result y and the gradient dy that arrives there. */
export function causalAttentionGradient(
  inputs: readonly Node[],
  y: Node,
  dy: Node,
  rule: ScoreRule,
  form: 'rows' | 'blocks',
  of: 'q' | 'k' | 'v',
): Node<'causalAttentionGradient'> {
  const [q, k, v] = inputs as [Node, Node, Node];
  requireHeads('causalAttentionGradient', q, k, v);
  require(sameShape(y.shape, dy.shape), 'causalAttentionGradient', `a gradient of shape ${formatShape(y.shape)}`, () =>
    formatShape(dy.shape));
  const { shape } = of === 'q' ? q : k;
  return makeNode('causalAttentionGradient', [...inputs, y, dy], { rule, form, of }, 'float32', shape);
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
