/** Sums, means and maxima over axes; reduced dimensions stay as 1. */
import { makeNode, type Node } from '../node.ts';
import { type Dim, normalizeAxis, type Shape } from '../shape.ts';
import { require, requireDtype } from './check.ts';
import { reshape } from './movement.ts';

type Reduction = 'reduceSum' | 'reduceMean' | 'reduceMax';

function reduce<O extends Reduction>(op: O, a: Node, axes: readonly number[]): Node<O> {
  const positions = axes.map((axis) => normalizeAxis(op, axis, a.shape.length)).sort((x, y) => x - y);
  requireDtype(op, [a], ['float32', 'int64']);
  const shape = a.shape.map((dim, i) => (positions.includes(i) ? 1 : dim));
  return makeNode<Reduction>(op, [a], { axes: positions }, a.dtype, shape) as Node<O>;
}

export const reduceSum = (a: Node, axes: readonly number[]): Node<'reduceSum'> => reduce('reduceSum', a, axes);
export const reduceMean = (a: Node, axes: readonly number[]): Node<'reduceMean'> => reduce('reduceMean', a, axes);
export const reduceMax = (a: Node, axes: readonly number[]): Node<'reduceMax'> => reduce('reduceMax', a, axes);

/** Sums `a` down to a shape that broadcasts to it: the transpose of broadcasting. */
export function sumTo(a: Node, shape: Shape): Node {
  const extra = a.shape.length - shape.length;
  const axes = a.shape.flatMap((dim: Dim, i) => (i < extra || (shape[i - extra] === 1 && dim !== 1) ? [i] : []));
  if (axes.length === 0) return a;
  const summed = reduceSum(a, axes);
  require(extra >= 0, 'sumTo', 'the target must not have more axes', () => `${a.shape.length} axes to ${shape.length}`);
  return extra === 0 ? summed : reshape(summed, shape);
}
