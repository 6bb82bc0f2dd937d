/**
 * Products of frozen weights in signed bytes with rows that are turned into bytes as they come: sums of integers, scaled back to f32
 * afterwards. Each row of x has a scale of its own, and so has each row of the weight (its output channels).
 */
import { makeNode, type Node } from '../node.ts';
import type { IntegerLayout } from '../quantized.ts';
import { formatShape } from '../shape.ts';
import { require, requireDtype } from './check.ts';

/** Above this number of summands of 128 x 127 a sum could leave 32 bits. */
const maxSummands = Math.floor(2 ** 31 / (128 * 127));

/**
 * x f32[N, in] W^T (`transposeB`: f32[N, out]) or x f32[N, out] W (f32[N, in]) with a weight W [out, in] in signed bytes.
 * @param leaves the weight's, by `integerWeight` for the same direction.
 */
export function integerMatmul(
  x: Node,
  [matrix, scales]: readonly [Node, Node],
  layout: IntegerLayout,
  transposeB: boolean,
): Node<'integerMatmul'> {
  requireDtype('integerMatmul', [x], ['float32']);
  const [outputs, inputs] = layout.shape;
  const [taken, given] = transposeB ? [inputs, outputs] : [outputs, inputs];
  require(x.shape.length === 2 && x.shape[1] === taken, 'integerMatmul', `x of shape [N, ${taken}]`, () =>
    formatShape(x.shape));
  require(taken <= maxSummands, 'integerMatmul', `at most ${maxSummands} summands`, () => String(taken));
  const stored = storedShape(layout, transposeB);
  require(matrix.dtype === 'int8' &&
    formatShape(matrix.shape) === formatShape(stored) &&
    scales.dtype === 'float32' &&
    formatShape(scales.shape) ===
      formatShape([outputs]), 'integerMatmul', `int8${formatShape(stored)} and float32[${outputs}]`, () =>
    `${matrix.dtype}${formatShape(matrix.shape)} and ${scales.dtype}${formatShape(scales.shape)}`);
  return makeNode('integerMatmul', [x, matrix, scales], { layout, transposeB }, 'float32', [x.shape[0]!, given]);
}

/** How the weight lies that a product of this direction reads. */
function storedShape({ shape, integer }: IntegerLayout, transposeB: boolean): readonly [number, number] {
  return integer.bothWays && transposeB ? [shape[1], shape[0]] : shape;
}

const turnedSuffix = '.transposed';

/** The leaves of a weight for products of one direction: its bytes and its scales. Their names begin with the weight's. */
export function integerWeight(name: string, layout: IntegerLayout, transposeB: boolean): [Node, Node] {
  const suffix = layout.integer.bothWays && transposeB ? turnedSuffix : '';
  return [
    makeNode('weight', [], { name: name + suffix }, 'int8', storedShape(layout, transposeB)),
    makeNode('weight', [], { name: `${name}.absmax` }, 'float32', [layout.shape[0]]),
  ];
}

/** The leaves of the same weight for the other direction. */
export function otherWay({ inputs, attributes }: Node<'integerMatmul'>): [Node, Node] {
  const { layout, transposeB } = attributes;
  const [, matrix, scales] = inputs as [Node, Node<'weight'>, Node];
  if (!layout.integer.bothWays) return [matrix, scales];
  const name = matrix.attributes.name;
  const other = transposeB ? name.slice(0, -turnedSuffix.length) : name + turnedSuffix;
  return [makeNode('weight', [], { name: other }, 'int8', storedShape(layout, !transposeB)), scales];
}
