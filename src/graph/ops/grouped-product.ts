/** Products of groups of rows with a weight each (routed experts), and the sorting that brings rows of a group together. */
import type { DType } from '../dtype.ts';
import { makeNode, type Node, type OpAttributes } from '../node.ts';
import type { QuantizedLayout } from '../quantized.ts';
import { formatShape, sameShape } from '../shape.ts';
import { require, requireDtype } from './check.ts';
import { isWeightInCodes, partsOf } from './quantized-product.ts';

/**
 * Positions of values along the last axis in order, int64, the first `count` of them (left out: all); of equal values the
 * earlier comes first. a float32 or int64, [..., n].
 */
export function order(a: Node, direction: OpAttributes['order']['direction'], count?: number): Node<'order'> {
  requireDtype('order', [a], ['float32', 'int64']);
  const last = a.shape.at(-1);
  require(last !== undefined &&
    (count === undefined ||
      (typeof last === 'number' && count >= 1 && count <= last)), 'order', 'a count within the last axis', () =>
    `${count} of ${formatShape(a.shape)}`);
  const shape = [...a.shape.slice(0, -1), count ?? last!];
  return makeNode('order', [a], { direction, ...(count === undefined ? {} : { count }) }, 'int64', shape);
}

const floats: readonly DType[] = ['float32', 'float16', 'bfloat16'];

/**
 * Rows `bounds[e]` to `bounds[e + 1]` of x f32[M, in] times weight e [out, in] transposed (`transposeB`: f32[M, out]), or of
 * x f32[M, out] times weight e itself (f32[M, in]). Groups may be empty.
 * @param bounds int64[E + 1], rising from 0 to M.
 * @param weights for each of the E groups one node, floats of any kind, or with `layout` the leaves of a weight in codes in
 *   the order of `quantizedWeight`.
 */
export function groupedMatmul(
  x: Node,
  bounds: Node,
  weights: readonly (readonly Node[])[],
  options: { readonly transposeB: boolean; readonly layout?: QuantizedLayout | undefined; readonly alpha?: number },
): Node<'groupedMatmul'> {
  const { transposeB, layout, alpha = 1 } = options;
  requireDtype('groupedMatmul', [x], ['float32']);
  requireDtype('groupedMatmul', [bounds], ['int64']);
  const shape = layout?.shape ?? weights[0]?.[0]?.shape;
  require(shape !== undefined && shape.length === 2, 'groupedMatmul', 'at least one weight [out, in]', () =>
    formatShape(shape ?? []));
  const [outputs, inputs] = shape as [number, number];
  const [taken, given] = transposeB ? [inputs, outputs] : [outputs, inputs];
  require(x.shape.length === 2 && x.shape[1] === taken, 'groupedMatmul', `x of shape [M, ${taken}]`, () =>
    formatShape(x.shape));
  require(sameShape(bounds.shape, [weights.length + 1]), 'groupedMatmul', `bounds [${weights.length + 1}]`, () =>
    formatShape(bounds.shape));
  for (const parts of weights) {
    const fits = layout
      ? isWeightInCodes(parts, layout)
      : parts.length === 1 && floats.includes(parts[0]!.dtype) && sameShape(parts[0]!.shape, shape!);
    require(fits, 'groupedMatmul', layout ? 'weights in codes of one layout' : `weights [${outputs},${inputs}]`, () =>
      parts.map((part) => part.dtype + formatShape(part.shape)).join(', '));
  }
  const attributes = { groups: weights.length, transposeB, alpha, ...(layout === undefined ? {} : { layout }) };
  return makeNode('groupedMatmul', [x, bounds, ...weights.flat()], attributes, 'float32', [x.shape[0]!, given]);
}

/** The weights among the inputs of a grouped product (nodes, or what stands for them), group by group. */
export function groupedWeights<T>(
  inputs: readonly T[],
  { groups, layout }: Pick<OpAttributes['groupedMatmul'], 'groups' | 'layout'>,
): (readonly T[])[] {
  const each = layout ? partsOf(layout).length : 1;
  return Array.from({ length: groups }, (_, e) => inputs.slice(2 + e * each, 2 + (e + 1) * each));
}

/**
 * alpha x aᵀ b over rows `bounds[group]` to `bounds[group + 1]`: a f32[M, P], b f32[M, Q]; f32[P, Q], zeros where the group
 * is empty. What the weight of a group gets as gradient.
 */
export function groupedOuter(a: Node, b: Node, bounds: Node, group: number, alpha = 1): Node<'groupedOuter'> {
  requireDtype('groupedOuter', [a, b], ['float32']);
  requireDtype('groupedOuter', [bounds], ['int64']);
  const groups = bounds.shape[0];
  require(a.shape.length === 2 &&
    b.shape.length === 2 &&
    a.shape[0] === b.shape[0] &&
    typeof groups === 'number' &&
    group >= 0 &&
    group < groups - 1, 'groupedOuter', 'two tables of as many rows, and a group', () =>
    `${[a, b, bounds].map((node) => formatShape(node.shape)).join(', ')}, group ${group}`);
  return makeNode('groupedOuter', [a, b, bounds], { group, alpha }, 'float32', [a.shape[1]!, b.shape[1]!]);
}
