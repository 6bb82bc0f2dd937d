/**
 * Weights of a group in codes, several expanded at once: the codes one after the other, looked up and scaled as those of one
 * weight, and split again. Many small weights else take twenty nodes each, which make sessions slow to create.
 */
import type { FourBitLayout, QuantizedLayout } from '../graph/index.ts';
import { eightBitStep } from './eight-bit-step.ts';
import { dataTypeCodes } from './proto.ts';
import { type Cut, cutAfter, tableOf } from './quantized-matmul.ts';
import type { GraphWriter } from './writer.ts';

/**
 * Weights of one layout as f32[out, in] each.
 * @param weights for each the names of its parts in the order of `quantizedWeight`
 * @param after a value that must be there before they are expanded
 */
export function emitStackedWeights(
  writer: GraphWriter,
  layout: QuantizedLayout,
  weights: readonly (readonly string[])[],
  after: string,
): string[] {
  const [outputs, inputs] = layout.shape;
  const cut = cutAfter(writer, after, layout.dtype === 'int8' ? inputs : undefined);
  const values =
    layout.dtype === 'int8' ? eightBit(writer, weights, outputs, cut) : fourBit(writer, layout, weights, cut);
  const rows = writer.withoutRank(values, [-1, inputs]);
  const sizes = writer.integers(weights.map(() => outputs));
  return writer.emitMany('Split', [rows, sizes], weights.length, { axis: 0n });
}

/** One part of all weights; the first is cut, so that all wait for what cuts wait for. */
function joined(writer: GraphWriter, weights: readonly (readonly string[])[], part: number, first: string): string {
  return writer.emit('Concat', [first, ...weights.slice(1).map((parts) => parts[part]!)], { axis: 0n });
}

function all(writer: GraphWriter, weights: readonly (readonly string[])[], part: number): string {
  return joined(writer, weights, part, weights[0]![part]!);
}

function eightBit(writer: GraphWriter, weights: readonly (readonly string[])[], outputs: number, cut: Cut): string {
  const codes = joined(writer, weights, 0, cut(weights[0]![0]!, 0, outputs));
  const values = writer.emit('Cast', [codes], { to: BigInt(dataTypeCodes.float32) });
  const scales = writer.emit('Mul', [all(writer, weights, 1), writer.floats([eightBitStep])]);
  return writer.emit('Mul', [values, writer.emit('Unsqueeze', [scales, writer.integers([1])])]);
}

function fourBit(
  writer: GraphWriter,
  layout: FourBitLayout,
  weights: readonly (readonly string[])[],
  cut: Cut,
): string {
  const count = layout.shape[0] * layout.shape[1];
  const codes = joined(writer, weights, 0, cut(weights[0]![0]!, 0, count / 4));
  const index = writer.emit('Cast', [codes], { to: BigInt(dataTypeCodes.int32) });
  const values = writer.emit('Gather', [tableOf(writer, layout.dtype, 4), index]);
  const blocks = (weights.length * count) / layout.blockSize;
  const byBlock = writer.emit('Reshape', [values, writer.integers([blocks, layout.blockSize])]);
  return writer.emit('Mul', [byBlock, blockScales(writer, layout, weights, cut)]);
}

/** The scale of every block: f32[blocks of all weights, 1]. */
function blockScales(
  writer: GraphWriter,
  { shape, blockSize, nestedBlockSize }: FourBitLayout,
  weights: readonly (readonly string[])[],
  cut: Cut,
): string {
  const blocks = (shape[0] * shape[1]) / blockSize;
  const column = writer.integers([-1, 1]);
  if (nestedBlockSize === undefined) return writer.emit('Reshape', [all(writer, weights, 1), column]);
  const codes = joined(writer, weights, 1, cut(weights[0]![1]!, 0, blocks));
  const perWeight = writer.emit('Reshape', [
    writer.emit('Cast', [codes], { to: BigInt(dataTypeCodes.int64) }),
    writer.integers([weights.length, blocks]),
  ]);
  // each weight has a map of its own
  const starts = writer.integers(
    weights.map((_, i) => 256 * i),
    [weights.length, 1],
  );
  const scales = writer.emit('Gather', [all(writer, weights, 2), writer.emit('Add', [perWeight, starts])]);
  const byScale = writer.emit('Reshape', [scales, writer.integers([-1, nestedBlockSize])]);
  const nested = writer.emit('Reshape', [all(writer, weights, 3), column]);
  const scaled = writer.emit('Reshape', [
    writer.emit('Mul', [byScale, nested]),
    writer.integers([weights.length, blocks]),
  ]);
  const offsets = writer.emit('Reshape', [all(writer, weights, 4), column]);
  return writer.emit('Reshape', [writer.emit('Add', [scaled, offsets]), column]);
}
