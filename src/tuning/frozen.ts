/** Parameters of a checkpoint as nodes: frozen weights straight from the file, or inputs where training moves them. */
import * as g from '../graph/index.ts';
import type { ParameterSource } from '../models/index.ts';

/** A weight stored as floats. */
export interface FloatWeight {
  readonly dtype: 'float32' | 'float16' | 'bfloat16';
  readonly shape: readonly number[];
}

/** A weight as it is stored: floats, or 4-bit or 8-bit codes. Only weights of linear modules are stored in codes. */
export type StoredWeight = FloatWeight | g.QuantizedLayout;

/** Whether a weight is stored in short blocks of codes, for decoding. */
export function isBlockCodes(weight: StoredWeight | g.BlockCodes): weight is g.BlockCodes {
  return weight.dtype === 'blocks';
}

/** Whether a weight is stored in codes. */
export function isQuantized(weight: StoredWeight | g.BlockCodes): weight is g.QuantizedLayout {
  return weight.dtype === 'nf4' || weight.dtype === 'fp4' || weight.dtype === 'int8';
}

/** The name of the output layer's weight in bytes, which stands beside the one in floats. */
export function integerHeadName(module: string): string {
  return `${module}.integer.weight`;
}

/** What moves as a whole: these parameters become inputs of the graph, named as they are. */
export interface MovedParameters {
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Whether a tied output layer follows a moved embedding table (full tuning), or stays with the stored one (PEFT's modules_to_save). */
  readonly tiedOutputFollows: boolean;
}

/** The plain source: no adapters. Nodes are made once, so that the graph holds each weight once. */
export function frozenParameters(
  stored: ReadonlyMap<string, StoredWeight | g.BlockCodes>,
  moved: MovedParameters,
): ParameterSource & { readonly storedWeight: (name: string) => g.Node } {
  const nodes = new Map<string, g.Node>();
  const once = (key: string, make: () => g.Node): g.Node => {
    let node = nodes.get(key);
    if (!node) nodes.set(key, (node = make()));
    return node;
  };
  const storedNode = (name: string): g.Node =>
    once(`stored ${name}`, () => {
      const weight = stored.get(name);
      if (!weight) throw new Error(`the checkpoint was opened without ${name}`);
      if (isQuantized(weight) || isBlockCodes(weight))
        throw new Error(`${name} is stored in codes and is no weight of a linear module`);
      return g.weight(name, weight.dtype, weight.shape);
    });
  const movedNode = (name: string): g.Node | undefined => {
    const shape = moved.shapes.get(name);
    return shape && once(`moved ${name}`, () => g.input(name, 'float32', shape));
  };
  const storedWeight = (name: string): g.Node => once(`float32 ${name}`, () => g.cast(storedNode(name), 'float32'));
  const codeNodes = new Map<string, readonly g.Node[]>();
  const leaves = (name: string, make: () => readonly g.Node[]): readonly g.Node[] => {
    let nodes = codeNodes.get(name);
    if (!nodes) codeNodes.set(name, (nodes = make()));
    return nodes;
  };
  const codes = (name: string, layout: g.QuantizedLayout): readonly g.Node[] =>
    leaves(name, () => g.quantizedWeight(name, layout));
  const codedProduct = (
    name: string,
    x: g.Node,
    layout: g.QuantizedLayout | g.BlockCodes,
    transposeB: boolean,
  ): g.Node => {
    if (layout.dtype === 'blocks') {
      const [codesOf, scalesOf] = leaves(name, () => g.blockCodesWeight(name, layout));
      return g.blockCodesMatmul(x, [codesOf!, scalesOf!], layout);
    }
    if (!g.isIntegerLayout(layout)) return g.quantizedMatmul(x, codes(name, layout), layout, transposeB);
    const [matrix, scales] = leaves(name, () => g.integerWeight(name, layout, transposeB));
    return g.integerMatmul(x, [matrix!, scales!], layout, transposeB);
  };
  const parameter = (name: string): g.Node => movedNode(name) ?? storedWeight(name);
  return {
    parameter,
    storedWeight,
    embedding: (name, ids) => {
      const table = movedNode(name);
      return table ? g.gather(table, ids) : g.cast(g.gather(storedNode(name), ids), 'float32');
    },
    linear: (module, x, bias, transposed) => {
      const name = `${module}.weight`;
      const weight = moved.shapes.has(name) ? undefined : stored.get(name);
      const product =
        weight && (isQuantized(weight) || isBlockCodes(weight))
          ? codedProduct(name, x, weight, transposed !== true)
          : g.matmul(x, parameter(name), { transposeB: transposed !== true });
      return bias ? g.add(product, parameter(`${module}.bias`)) : product;
    },
    groupedLinear: (modules, x, bounds) => {
      const names = modules.map((module) => `${module}.weight`);
      const layouts = names.map((name) => (moved.shapes.has(name) ? undefined : stored.get(name)));
      const [layout] = layouts;
      if (layout && isQuantized(layout)) {
        const weights = names.map((name, i) => {
          const own = layouts[i];
          if (!own || !isQuantized(own)) throw new Error(`${name} is stored in floats, others of its group in codes`);
          return codes(name, own);
        });
        return g.groupedMatmul(x, bounds, weights, { transposeB: true, layout });
      }
      // half floats become f32 one after the other inside the product
      const weights = names.map((name) => [movedNode(name) ?? storedNode(name)]);
      return g.groupedMatmul(x, bounds, weights, { transposeB: true });
    },
    outputLogits: (module, x, tiedTo) => {
      const name = `${module}.weight`;
      const isFrozen = !moved.shapes.has(name) && !(tiedTo !== undefined && moved.tiedOutputFollows);
      const bytes = isFrozen ? stored.get(integerHeadName(module)) : undefined;
      if (bytes && (isQuantized(bytes) || isBlockCodes(bytes)))
        return codedProduct(integerHeadName(module), x, bytes, true);
      const table =
        tiedTo === undefined || moved.shapes.has(name)
          ? parameter(name)
          : moved.tiedOutputFollows
            ? parameter(tiedTo)
            : storedWeight(tiedTo);
      return g.matmul(x, table, { transposeB: true });
    },
  };
}
