/** Products with frozen weights in 4 or 8 bits, which become f32 only piece by piece while a product runs. */
import { makeNode, type Node } from '../node.ts';
import type { QuantizedLayout } from '../quantized.ts';
import { formatShape } from '../shape.ts';
import { require, requireDtype } from './check.ts';

/**
 * x f32[N, in] W^T (`transposeB`: f32[N, out]) or x f32[N, out] W (f32[N, in]) with a weight W [out, in] in codes.
 * @param parts the weight's leaves in the order of `quantizedWeight`.
 */
export function quantizedMatmul(
  x: Node,
  parts: readonly Node[],
  layout: QuantizedLayout,
  transposeB: boolean,
): Node<'quantizedMatmul'> {
  requireDtype('quantizedMatmul', [x], ['float32']);
  const [outputs, inputs] = layout.shape;
  const [taken, given] = transposeB ? [inputs, outputs] : [outputs, inputs];
  require(x.shape.length === 2 && x.shape[1] === taken, 'quantizedMatmul', `x of shape [N, ${taken}]`, () =>
    formatShape(x.shape));
  require(isWeightInCodes(parts, layout), 'quantizedMatmul', partsOf(layout)
    .map(({ dtype, shape }) => dtype + formatShape(shape))
    .join(', '), () => parts.map((part) => `${part.op} ${part.dtype}${formatShape(part.shape)}`).join(', '));
  return makeNode('quantizedMatmul', [x, ...parts], { layout, transposeB }, 'float32', [x.shape[0]!, given]);
}

/** Whether the nodes are the leaves of a weight in codes, in the order of `quantizedWeight`. */
export function isWeightInCodes(parts: readonly Node[], layout: QuantizedLayout): boolean {
  const wanted = partsOf(layout);
  return (
    parts.length === wanted.length &&
    parts.every(
      (part, i) =>
        part.inputs.length === 0 &&
        part.dtype === wanted[i]!.dtype &&
        formatShape(part.shape) === formatShape(wanted[i]!.shape),
    )
  );
}

interface Part {
  /** What follows the weight's name. */
  readonly suffix: string;
  readonly dtype: Node['dtype'];
  readonly shape: readonly number[];
}

/** The tensors that make up a weight, with bitsandbytes' names. Four codes are read at a time where their number allows. */
export function partsOf(layout: QuantizedLayout): Part[] {
  const count = layout.shape[0] * layout.shape[1];
  if (layout.dtype === 'int8') {
    return [
      { suffix: '', dtype: 'int8', shape: layout.shape },
      { suffix: '.absmax', dtype: 'float32', shape: [layout.shape[0]] },
    ];
  }
  const { blockSize, nestedBlockSize } = layout;
  const blocks = Math.ceil(count / blockSize);
  const codes: Part =
    count % 4 === 0
      ? { suffix: '', dtype: 'uint16', shape: [count / 4] }
      : { suffix: '', dtype: 'uint8', shape: [Math.ceil(count / 2)] };
  if (nestedBlockSize === undefined) return [codes, { suffix: '.absmax', dtype: 'float32', shape: [blocks] }];
  return [
    codes,
    { suffix: '.absmax', dtype: 'uint8', shape: [blocks] },
    { suffix: '.nested_quant_map', dtype: 'float32', shape: [256] },
    { suffix: '.nested_absmax', dtype: 'float32', shape: [Math.ceil(blocks / nestedBlockSize)] },
    { suffix: '.nested_offset', dtype: 'float32', shape: [1] },
  ];
}

/** The leaves of a weight in codes: the codes, then what scales them. Their names begin with the weight's. */
export function quantizedWeight(name: string, layout: QuantizedLayout): Node[] {
  return partsOf(layout).map(({ suffix, dtype, shape }) =>
    makeNode('weight', [], { name: name + suffix }, dtype, shape),
  );
}
