/** Products with frozen weights in codes of 4 or 8 bits, a scale for each short block of a row: for decoding, forward only. */
import { makeNode, type Node } from '../node.ts';
import { type BlockCodes, blockCodesSize } from '../quantized.ts';
import { formatShape } from '../shape.ts';
import { require, requireDtype } from './check.ts';

interface Part {
  readonly suffix: string;
  readonly dtype: Node['dtype'];
  readonly shape: readonly number[];
}

function partsOf({ bits, shape: [outputs, inputs] }: BlockCodes): readonly [Part, Part] {
  const blocks = Math.ceil(inputs / blockCodesSize);
  return [
    { suffix: '.blocks', dtype: 'uint8', shape: [outputs, blocks, (blockCodesSize * bits) / 8] },
    { suffix: '.block_scales', dtype: 'float32', shape: [outputs, blocks] },
  ];
}

/** The leaves of a weight in block codes: codes and scales. Their names begin with the weight's. */
export function blockCodesWeight(name: string, layout: BlockCodes): [Node, Node] {
  const [codes, scales] = partsOf(layout).map(({ suffix, dtype, shape }) =>
    makeNode('weight', [], { name: name + suffix }, dtype, shape),
  );
  return [codes!, scales!];
}

/** x f32[N, in] W^T: f32[N, out]. The kernel may round x to bytes, by blocks. @param leaves by `blockCodesWeight`. */
export function blockCodesMatmul(x: Node, leaves: readonly [Node, Node], layout: BlockCodes): Node<'blockCodesMatmul'> {
  requireDtype('blockCodesMatmul', [x], ['float32']);
  const [outputs, inputs] = layout.shape;
  require(x.shape.length === 2 && x.shape[1] === inputs, 'blockCodesMatmul', `x of shape [N, ${inputs}]`, () =>
    formatShape(x.shape));
  const wanted = partsOf(layout);
  require(wanted.every(
    ({ dtype, shape }, i) => leaves[i]!.dtype === dtype && formatShape(leaves[i]!.shape) === formatShape(shape),
  ), 'blockCodesMatmul', wanted.map(({ dtype, shape }) => dtype + formatShape(shape)).join(', '), () =>
    leaves.map(({ dtype, shape }) => dtype + formatShape(shape)).join(', '));
  return makeNode('blockCodesMatmul', [x, ...leaves], { layout }, 'float32', [x.shape[0]!, outputs]);
}
