/**
 * Products of groups of rows with a weight each: the rows split, a product for each group, and the results one after the other.
 * A weight in codes is expanded when the product of the group before it is there, so that one stands in f32 at a time.
 */
import { groupedWeights, type Node, stackedWeights } from '../graph/index.ts';
import { dataTypeCodes } from './proto.ts';
import { emitQuantizedProduct } from './quantized-matmul.ts';
import { emitStackedWeights } from './stacked-weights.ts';
import type { GraphWriter } from './writer.ts';

/** The rows of each group, in one node that all products of the same table share: many nodes make sessions slow to create. */
function groupsOf(
  writer: GraphWriter,
  table: string,
  width: number,
  bounds: string,
  groups: number,
): readonly string[] {
  return writer.once(`groups of ${table} at ${bounds}`, () => {
    const sizes = writer.once(`sizes of ${bounds}`, () => {
      const cut = (begin: number): string =>
        writer.emit('Slice', [
          bounds,
          writer.integers([begin]),
          writer.integers([begin + groups]),
          writer.integers([0]),
        ]);
      return writer.emit('Sub', [cut(1), cut(0)]);
    });
    const rows = writer.withoutRank(table, [-1, width]);
    return writer.emitMany('Split', [rows, sizes], groups, { axis: 0n });
  });
}

/**
 * A product of rows of one group. onnxruntime knows that a Gemm has two dimensions whatever it is given, and would look for
 * memory of their sizes, which it does not know (see `withoutRank`); of this form it knows nothing.
 */
function emitProduct(
  writer: GraphWriter,
  a: string,
  b: string,
  attributes: { readonly transA?: bigint; readonly transB: bigint; readonly alpha: number },
): string {
  if (writer.provider !== 'cpu') return writer.emit('Gemm', [a, b], attributes);
  const { transA = 0n, transB, alpha } = attributes;
  return writer.emit('FusedMatMul', [a, b], { transA, transB, alpha }, 'com.microsoft');
}

/** The lowering of `groupedMatmul`. */
export function lowerGroupedMatmul(
  node: Node<'groupedMatmul'>,
  writer: GraphWriter,
  inputs: readonly string[],
): string {
  const { attributes } = node;
  const { transposeB, alpha, layout } = attributes;
  const [x, bounds] = inputs as [string, string];
  const nodes = groupedWeights(node.inputs, attributes);
  const products: string[] = [];
  const tables = groupsOf(writer, x, node.inputs[0]!.shape[1] as number, bounds, attributes.groups);
  const weights = groupedWeights(inputs, attributes);
  const stacked = layout === undefined || writer.expandsWeights ? 1 : stackedWeights(layout, attributes.groups);
  let expanded: readonly string[] = [];
  weights.forEach((parts, group) => {
    const rows = tables[group]!;
    if (layout && stacked > 1) {
      const place = group % stacked;
      if (place === 0) {
        expanded = emitStackedWeights(writer, layout, weights.slice(group, group + stacked), products.at(-1) ?? x);
      }
      products.push(emitProduct(writer, rows, expanded[place]!, { transB: transposeB ? 1n : 0n, alpha }));
      return;
    }
    if (layout) {
      const product = emitQuantizedProduct(writer, layout, transposeB, rows, parts, products.at(-1));
      products.push(alpha === 1 ? product : writer.emit('Mul', [product, writer.floats([alpha])]));
      return;
    }
    const weight = nodes[group]![0]!;
    let matrix = parts[0]!;
    if (weight.dtype !== 'float32') {
      // as in the lowering of casts: a shape known only at run time keeps the expansion from being folded
      if (!writer.expandsWeights) {
        matrix = writer.withoutRank(matrix, weight.shape as readonly number[]);
      }
      matrix = writer.emit('Cast', [matrix], { to: BigInt(dataTypeCodes.float32) });
    }
    products.push(emitProduct(writer, rows, matrix, { transB: transposeB ? 1n : 0n, alpha }));
  });
  if (products.length === 1) return products[0]!;
  const whole = writer.emit('Concat', products, { axis: 0n });
  return writer.emit('Reshape', [whole, writer.shapeTensor(node.shape)]);
}

/** The lowering of `groupedOuter`. */
export function lowerGroupedOuter(
  node: Node<'groupedOuter'>,
  writer: GraphWriter,
  [a, b, bounds]: readonly string[],
): string {
  const { group, alpha } = node.attributes;
  const groups = (node.inputs[2]!.shape[0] as number) - 1;
  const rows = (index: 0 | 1, table: string): string =>
    groupsOf(writer, table, node.inputs[index]!.shape[1] as number, bounds!, groups)[group]!;
  return emitProduct(writer, rows(0, a!), rows(1, b!), { transA: 1n, transB: 0n, alpha });
}
