/**
 * Products of groups of rows with a weight each: the rows split, a product for each group, and the results one after the other.
 * A weight in codes is expanded when the product of the group before it is there, so that one stands in f32 at a time.
 */
import { groupedWeights, type Node } from '../graph/index.ts';
import { dataTypeCodes } from './proto.ts';
import { emitQuantizedProduct } from './quantized-matmul.ts';
import type { GraphWriter } from './writer.ts';

/** The rows of each group, in one node that all products of the same table share: many nodes make sessions slow to create. */
function groupsOf(writer: GraphWriter, table: string, bounds: string, groups: number): readonly string[] {
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
    return writer.emitMany('Split', [table, sizes], groups, { axis: 0n });
  });
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
  const tables = groupsOf(writer, x, bounds, attributes.groups);
  groupedWeights(inputs, attributes).forEach((parts, group) => {
    const rows = tables[group]!;
    if (layout) {
      const product = emitQuantizedProduct(writer, layout, transposeB, rows, parts, products.at(-1));
      products.push(alpha === 1 ? product : writer.emit('Mul', [product, writer.floats([alpha])]));
      return;
    }
    const weight = nodes[group]![0]!;
    let matrix = parts[0]!;
    if (weight.dtype !== 'float32') {
      // as in the lowering of casts: a shape known only at run time keeps the expansion from being folded
      if (weight.op === 'weight' && !writer.expandsWeights) {
        matrix = writer.emit('Reshape', [matrix, writer.barrierShape(weight.shape as readonly number[])]);
      }
      matrix = writer.emit('Cast', [matrix], { to: BigInt(dataTypeCodes.float32) });
    }
    products.push(writer.emit('Gemm', [rows, matrix], { transB: transposeB ? 1n : 0n, alpha }));
  });
  return products.length === 1 ? products[0]! : writer.emit('Concat', products, { axis: 0n });
}

/** The lowering of `groupedOuter`. */
export function lowerGroupedOuter(
  node: Node<'groupedOuter'>,
  writer: GraphWriter,
  [a, b, bounds]: readonly string[],
): string {
  const { group, alpha } = node.attributes;
  const groups = (node.inputs[2]!.shape[0] as number) - 1;
  const rows = (table: string): string => groupsOf(writer, table, bounds!, groups)[group]!;
  return writer.emit('Gemm', [rows(a!), rows(b!)], { transA: 1n, transB: 0n, alpha });
}
