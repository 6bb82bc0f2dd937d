/**
 * Products with weights in codes: codes -> indices -> rows of a table of values -> times scales -> Gemm, over stretches of
 * the weight's rows one after the other. Each stretch depends on the product before it, so that the runtime neither folds the
 * expansion when the session is made nor runs it early, and one stretch stands in f32 at a time. Measured in NOTES.md;
 * onnxruntime's MatMulBnb4 is silently wrong where the weight is not transposed.
 */
import {
  expandedRows,
  type FourBitLayout,
  type FourBitType,
  fourBitValues,
  type Node,
  type QuantizedLayout,
} from '../graph/index.ts';
import { eightBitStep } from './eight-bit-step.ts';
import { dataTypeCodes } from './proto.ts';
import type { GraphWriter } from './writer.ts';

/** The values of all runs of `length` codes as they lie in a little-endian word: f32[16^length, length]. */
function codeTable(type: FourBitType, length: 2 | 4): Float32Array {
  const values = fourBitValues[type];
  const table = new Float32Array(16 ** length * length);
  for (let word = 0; word < 16 ** length; word++) {
    for (let i = 0; i < length; i++) {
      const byte = (word >> (8 * (i >> 1))) & 255;
      table[word * length + i] = values[i % 2 === 0 ? byte >> 4 : byte & 15]!;
    }
  }
  return table;
}

const tables = new Map<string, Float32Array>();

/** The initializer of the values that runs of `length` codes stand for. */
export function tableOf(writer: GraphWriter, type: FourBitType, length: 2 | 4): string {
  const key = `${type} by ${length}`;
  return writer.table(key, [16 ** length, length], () => {
    let table = tables.get(key);
    if (!table) tables.set(key, (table = codeTable(type, length)));
    return table;
  });
}

/** Rows or other stretches of the weight; the first number of a stretch may depend on a value of the run. */
export type Cut = (tensor: string, begin: number, end: number) => string;

/**
 * Cuts that cannot be made before `after` is computed: their beginning is raised by 0 x its number of rows. Their length is not
 * known before the run, so nothing shall be known of them (see `withoutRank`).
 */
export function cutAfter(writer: GraphWriter, after: string | undefined, columns?: number): Cut {
  if (after === undefined) {
    return (tensor, begin, end) =>
      writer.emit('Slice', [tensor, writer.integers([begin]), writer.integers([end]), writer.integers([0])]);
  }
  const rows = writer.emit('Shape', [after], { start: 0n, end: 1n });
  const zero = writer.emit('Mul', [rows, writer.integers([0])]);
  const shape = columns === undefined ? [-1] : [-1, columns];
  return (tensor, begin, end) =>
    writer.emit('Slice', [
      writer.withoutRank(tensor, shape),
      writer.emit('Add', [zero, writer.integers([begin])]),
      writer.integers([end]),
      writer.integers([0]),
    ]);
}

/** The scale of every block of a 4-bit weight: f32[blocks]. */
function blockScales(writer: GraphWriter, layout: FourBitLayout, scales: readonly string[], cut: Cut): string {
  const blocks = Math.ceil((layout.shape[0] * layout.shape[1]) / layout.blockSize);
  if (layout.nestedBlockSize === undefined) return scales[0]!;
  const [codes, map, absmax, offset] = scales as [string, string, string, string];
  const size = layout.nestedBlockSize;
  const groups = Math.ceil(blocks / size);
  const index = writer.emit('Cast', [cut(codes, 0, blocks)], { to: BigInt(dataTypeCodes.int32) });
  const values = padded(writer, writer.emit('Gather', [map, index]), groups * size - blocks);
  const grouped = writer.emit('Reshape', [values, writer.integers([groups, size])]);
  const scaled = writer.emit('Mul', [grouped, writer.emit('Unsqueeze', [absmax, writer.integers([1])])]);
  const flat = shortened(writer, writer.emit('Reshape', [scaled, writer.integers([-1])]), groups * size, blocks);
  return writer.emit('Add', [flat, offset]);
}

function padded(writer: GraphWriter, vector: string, missing: number): string {
  return missing === 0 ? vector : writer.emit('Pad', [vector, writer.integers([0, missing])]);
}

function shortened(writer: GraphWriter, vector: string, length: number, wanted: number): string {
  if (length === wanted) return vector;
  return writer.emit('Slice', [vector, writer.integers([0]), writer.integers([wanted]), writer.integers([0])]);
}

/** Rows `begin` to `end` of a 4-bit weight as f32[end - begin, in]. */
function fourBitRows(
  writer: GraphWriter,
  layout: FourBitLayout,
  codes: string,
  scales: string,
  [begin, end]: readonly [number, number],
  cut: Cut,
): string {
  const [outputs, inputs] = layout.shape;
  const { blockSize } = layout;
  const length = (outputs * inputs) % 4 === 0 ? 4 : 2;
  const count = (end - begin) * inputs;
  const words = cut(codes, (begin * inputs) / length, Math.ceil((end * inputs) / length));
  const index = writer.emit('Cast', [words], { to: BigInt(dataTypeCodes.int32) });
  const values = writer.emit('Gather', [tableOf(writer, layout.dtype, length), index]);
  const firstBlock = (begin * inputs) / blockSize;
  const blocks = Math.ceil(count / blockSize);
  // of cut scales no shape is known: nor shall it be of those of all rows, else the rows in f32 would be kept until others of
  // their size take over their memory
  const isWhole = blocks === Math.ceil((outputs * inputs) / blockSize);
  const known = (): string => (writer.expandsWeights ? scales : writer.withoutRank(scales, [-1]));
  const some = isWhole ? known() : cut(scales, firstBlock, firstBlock + blocks);
  const scale = writer.emit('Unsqueeze', [some, writer.integers([1])]);
  const whole = blocks * blockSize;
  // a node that nobody reads would run last and hold the values of every stretch until then
  const flat = (): string => writer.emit('Reshape', [values, writer.integers([-1])]);
  const fitted =
    count === whole
      ? values
      : padded(writer, shortened(writer, flat(), Math.ceil(count / length) * length, count), whole - count);
  const scaled = writer.emit('Mul', [writer.emit('Reshape', [fitted, writer.integers([blocks, blockSize])]), scale]);
  const rows =
    count === whole ? scaled : shortened(writer, writer.emit('Reshape', [scaled, writer.integers([-1])]), whole, count);
  return writer.emit('Reshape', [rows, writer.integers([end - begin, inputs])]);
}

/** The lowering of `quantizedMatmul`. */
export function lowerQuantizedMatmul(
  node: Node<'quantizedMatmul'>,
  writer: GraphWriter,
  [x, ...parts]: readonly string[],
): string {
  const { layout, transposeB } = node.attributes;
  return emitQuantizedProduct(writer, layout, transposeB, x!, parts);
}

/** x times a weight in codes or its transpose; `after` is a value that must be there before the weight is expanded. */
export function emitQuantizedProduct(
  writer: GraphWriter,
  layout: QuantizedLayout,
  transposeB: boolean,
  x: string,
  [codes, ...scales]: readonly string[],
  after: string = x,
): string {
  const [outputs] = layout.shape;
  // where weights are expanded once, when the program is made, nothing holds them back
  const early = writer.expandsWeights;
  const stretches: readonly (readonly [number, number])[] = early ? [[0, outputs]] : expandedRows(layout);
  const columns = layout.dtype === 'int8' ? layout.shape[1] : undefined;
  const first = cutAfter(writer, early ? undefined : after, columns);
  const fourBitScales = layout.dtype === 'int8' ? undefined : blockScales(writer, layout, scales, first);
  const products: string[] = [];
  for (const [begin, end] of stretches) {
    const before = products.at(-1);
    const cut = before === undefined ? first : cutAfter(writer, before, columns);
    const range = [writer.integers([begin]), writer.integers([end])] as const;
    const part = (tensor: string, axis: number): string =>
      stretches.length === 1 ? tensor : writer.emit('Slice', [tensor, ...range, writer.integers([axis])]);
    let rows: string;
    let rowScale: string | undefined;
    if (layout.dtype === 'int8') {
      rows = writer.emit('Cast', [cut(codes!, begin, end)], { to: BigInt(dataTypeCodes.float32) });
      rowScale = writer.emit('Mul', [part(scales[0]!, 0), writer.floats([eightBitStep])]);
    } else {
      rows = fourBitRows(writer, layout, codes!, fourBitScales!, [begin, end], cut);
    }
    if (transposeB) {
      const product = writer.emit('Gemm', [x, rows], { transB: 1n });
      products.push(rowScale === undefined ? product : writer.emit('Mul', [product, rowScale]));
    } else {
      const own = part(x, 1);
      const scaled = rowScale === undefined ? own : writer.emit('Mul', [own, rowScale]);
      products.push(writer.emit('Gemm', [scaled, rows, ...(before === undefined ? [] : [before])]));
    }
  }
  return transposeB && products.length > 1 ? writer.emit('Concat', products, { axis: 1n }) : products.at(-1)!;
}
