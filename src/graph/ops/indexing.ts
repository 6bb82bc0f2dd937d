/** Rows by index. Indices are int64. */
import { makeNode, type Node, type OpAttributes } from '../node.ts';
import { type Dim, formatShape } from '../shape.ts';
import { require, requireDtype } from './check.ts';

/** Rows of `a` [R, ...] at `index` [S]: [S, ...]. */
export function gather(a: Node, index: Node): Node<'gather'> {
  requireDtype('gather', [index], ['int64']);
  require(index.shape.length === 1, 'gather', 'an index of one axis', () => formatShape(index.shape));
  return makeNode('gather', [a, index], {}, a.dtype, [index.shape[0]!, ...a.shape.slice(1)]);
}

/** Zeros [rows, ...] to which row s of `a` [S, ...] is added at row `index[s]`. */
export function scatterAdd(a: Node, index: Node, rows: Dim): Node<'scatterAdd'> {
  requireDtype('scatterAdd', [index], ['int64']);
  require(index.shape.length === 1 &&
    index.shape[0] === a.shape[0], 'scatterAdd', `an index of shape [${a.shape[0]}]`, () => formatShape(index.shape));
  return makeNode('scatterAdd', [a, index], { rows }, a.dtype, [rows, ...a.shape.slice(1)]);
}

/**
 * Rows of `a` [R, D] laid out anew: result row s is row `index[s]` of `a`; `inverse` [R] says where each row went, and
 * each goes to at most one place. An index of R means a place that no row goes to: `fill` says whether that happens
 * ("none": never) and what stands there: "zero", or "any" finite value where nothing reads it. This is how padding-free
 * tokens become padded rows around attention ("any") and back ("none"); both directions and their gradients are gathers.
 */
export function permuteRows(
  a: Node,
  index: Node,
  inverse: Node,
  fill: OpAttributes['permuteRows']['fill'],
): Node<'permuteRows'> {
  requireDtype('permuteRows', [index, inverse], ['int64']);
  requireDtype('permuteRows', [a], ['float32']);
  require(a.shape.length === 2 &&
    inverse.shape.length === 1 &&
    inverse.shape[0] === a.shape[0] &&
    index.shape.length ===
      1, 'permuteRows', 'a of shape [R, D], an index of shape [S] and an inverse of shape [R]', () =>
    [a, index, inverse].map((node) => formatShape(node.shape)).join(', '));
  return makeNode('permuteRows', [a, index, inverse], { fill }, a.dtype, [index.shape[0]!, a.shape[1]!]);
}
