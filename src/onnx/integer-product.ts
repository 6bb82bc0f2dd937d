/**
 * Products in integers: rows are turned into unsigned bytes around 128, multiplied with the weight's signed bytes (the pair that
 * processors have instructions for), and the sums scaled by the weight's rows as they leave the kernel, by x's rows afterwards.
 * Measured in NOTES.md; other pairs of signs are two to ten times slower.
 */
import type { Node } from '../graph/index.ts';
import { eightBitStep } from './eight-bit-step.ts';
import type { GraphWriter } from './writer.ts';

/** Bytes reach 127 to either side of their middle. */
const middle = 128;
const reach = 127;
/** Of a row without numbers the scale is not 0, so that nothing is divided by it. */
const smallestMagnitude = 1e-30;

/**
 * f32 rows as bytes; the largest magnitude of each row becomes 127. First what a step is worth, f32[N, 1], then u8 tensors of x's
 * shape: the values, and what they leave in steps of 1 / 254 where there are two.
 */
function rowBytes(writer: GraphWriter, x: string, count: 1 | 2): string[] {
  const axes = writer.integers([-1]);
  const highest = writer.emit('ReduceMax', [x, axes], { keepdims: 0n });
  const lowest = writer.emit('Neg', [writer.emit('ReduceMin', [x, axes], { keepdims: 0n })]);
  const magnitude = writer.emit('Max', [highest, lowest, writer.floats([smallestMagnitude])]);
  const step = writer.emit('Mul', [magnitude, writer.floats([1 / reach])]);
  const middles = writer.emit('Expand', [writer.bytes([middle]), writer.emit('Shape', [step])]);
  const first = writer.emit('QuantizeLinear', [x, step, middles], { axis: 0n });
  const scale = writer.emit('Unsqueeze', [step, axes]);
  if (count === 1) return [scale, first];
  const rounded = writer.emit('DequantizeLinear', [first, step, middles], { axis: 0n });
  const fine = writer.emit('Mul', [step, writer.floats([1 / (2 * reach)])]);
  const second = writer.emit('QuantizeLinear', [writer.emit('Sub', [x, rounded]), fine, middles], { axis: 0n });
  return [scale, first, second];
}

/** The lowering of `integerMatmul`. */
export function lowerIntegerMatmul(
  { attributes }: Node<'integerMatmul'>,
  writer: GraphWriter,
  [x, matrix, absmax]: readonly string[],
): string {
  const { layout, transposeB } = attributes;
  const { terms, gradient, bothWays } = layout.integer;
  const weightScale = writer.emit('Mul', [absmax!, writer.floats([eightBitStep])]);
  // the scales of the weight's rows: those of the result's columns one way, of what is summed over the other way
  const source = transposeB ? x! : writer.emit('Mul', [x!, weightScale]);
  const count = transposeB ? terms : gradient === 2 ? 2 : 1;
  const [rowScale, ...rows] = writer.once(`row bytes ${count} ${source}`, () => rowBytes(writer, source, count));
  const weight = transposeB && !bothWays ? writer.emit('Transpose', [matrix!], { perm: [1n, 0n] }) : matrix!;
  const columnScale = transposeB ? weightScale : writer.floats([1]);
  const products = rows.map((bytes, i) =>
    writer.emit(
      'MatMulIntegerToFloat',
      [bytes, weight, writer.floats([i === 0 ? 1 : 1 / (2 * reach)]), columnScale, writer.bytes([middle])],
      {},
      'com.microsoft',
    ),
  );
  const sum = products.length === 1 ? products[0]! : writer.emit('Add', products);
  return writer.emit('Mul', [sum, rowScale!]);
}
