/** Matrix products. */
import { makeNode, type Node } from '../node.ts';
import { type Dim, formatShape } from '../shape.ts';
import { require, requireDtype } from './check.ts';

/** How `matmul` reads its operands. */
export interface MatmulOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Factor of the result. */
  readonly alpha?: number;
}

/** alpha x op(a) op(b) over the last two axes: f32[...,M,K] by f32[...,K,N] gives f32[...,M,N]. Leading axes must be equal. */
export function matmul(a: Node, b: Node, options: MatmulOptions = {}): Node<'matmul'> {
  const { transposeA = false, transposeB = false, alpha = 1 } = options;
  requireDtype('matmul', [a, b], ['float32']);
  const rank = a.shape.length;
  const lead = a.shape.slice(0, -2);
  const [m, k] = lastTwo(a, transposeA);
  const [k2, n] = lastTwo(b, transposeB);
  require(rank >= 2 &&
    b.shape.length === rank &&
    lead.every((dim, i) => dim === b.shape[i]) &&
    k === k2, 'matmul', 'equal leading axes and a common inner dimension', () =>
    `${formatShape(a.shape)}${transposeA ? ' transposed' : ''} and ${formatShape(b.shape)}${transposeB ? ' transposed' : ''}`);
  return makeNode('matmul', [a, b], { transposeA, transposeB, alpha }, 'float32', [...lead, m, n]);
}

function lastTwo(a: Node, transposed: boolean): [Dim, Dim] {
  const x = a.shape.at(-2) ?? 1;
  const y = a.shape.at(-1) ?? 1;
  return transposed ? [y, x] : [x, y];
}
