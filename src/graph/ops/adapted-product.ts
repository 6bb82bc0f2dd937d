/**
 * A frozen linear module and its low-rank adapter (Hu et al. 2021) as one product, with the adapter added to the weight
 * instead of to the result: where a batch has more rows than the weight, that is less to write. The gradient takes
 * the adapter's two thin products as they are, so that no gradient of the weight's size arises.
 */
import { makeNode, type Node, type OpAttributes } from '../node.ts';
import { formatShape, sameShape } from '../shape.ts';
import { require, requireDtype } from './check.ts';

/**
 * x (W + scale B A)ᵀ (`transposeB`) or x (W + scale (B A)ᵀ): f32[N, out].
 * @param x f32[N, in]; @param weight f32[out, in], or [in, out]; @param a f32[R, in]; @param b f32[out, R].
 */
export function adaptedMatmul(
  x: Node,
  weight: Node,
  a: Node,
  b: Node,
  { transposeB, scale }: OpAttributes['adaptedMatmul'],
): Node<'adaptedMatmul'> {
  requireDtype('adaptedMatmul', [x, weight, a, b], ['float32']);
  const [rank, inputs] = a.shape;
  const outputs = b.shape[0]!;
  require(x.shape.length === 2 &&
    x.shape[1] === inputs &&
    b.shape[1] === rank &&
    sameShape(
      weight.shape,
      transposeB ? [outputs, inputs!] : [inputs!, outputs],
    ), 'adaptedMatmul', 'x [N, in], W of in and out, A [R, in] and B [out, R]', () =>
    [x, weight, a, b].map((node) => formatShape(node.shape)).join(', '));
  return makeNode('adaptedMatmul', [x, weight, a, b], { transposeB, scale }, 'float32', [x.shape[0]!, outputs]);
}

/** W + scale B A: f32[out, in], for products that have no gradient. @param weight f32[out, in]; @param a f32[R, in]; @param b f32[out, R]. */
export function mergedWeight(weight: Node, a: Node, b: Node, scale: number): Node<'mergedWeight'> {
  requireDtype('mergedWeight', [weight, a, b], ['float32']);
  require(a.shape[0] === b.shape[1] &&
    sameShape(weight.shape, [b.shape[0]!, a.shape[1]!]), 'mergedWeight', 'W [out, in], A [R, in] and B [out, R]', () =>
    [weight, a, b].map((node) => formatShape(node.shape)).join(', '));
  return makeNode('mergedWeight', [weight, a, b], { scale }, 'float32', weight.shape);
}
