/**
 * The node of a tensor graph. A graph is nothing but the nodes that its outputs reach; nodes never change.
 * The closed list of operations and their attributes stands here; what they do stands in `ops/`.
 */
import type { DType } from './dtype.ts';
import type { BlockCodes, IntegerLayout, QuantizedLayout } from './quantized.ts';
import type { ScoreRule } from './score-rule.ts';
import type { Shape } from './shape.ts';

type NoAttributes = Readonly<Record<string, never>>;
/** Reduction over `axes` (positions, ascending), dimensions kept as 1. */
interface ReduceAttributes {
  readonly axes: readonly number[];
}

/** The only vocabulary: every operation with its attributes. */
export interface OpAttributes {
  // leaves
  /** A tensor given at each run: the batch, or a weight that training moves. */
  input: { readonly name: string };
  /** A frozen weight, by its name in the checkpoint. */
  weight: { readonly name: string };
  constant: { readonly values: readonly number[] };
  // elementwise
  add: NoAttributes;
  sub: NoAttributes;
  mul: NoAttributes;
  div: NoAttributes;
  neg: NoAttributes;
  exp: NoAttributes;
  log: NoAttributes;
  sqrt: NoAttributes;
  tanh: NoAttributes;
  sigmoid: NoAttributes;
  silu: NoAttributes;
  gelu: { readonly approximation: 'none' | 'tanh' };
  erf: NoAttributes;
  cast: { readonly to: DType };
  // comparison and choice
  greaterOrEqual: NoAttributes;
  less: NoAttributes;
  equal: NoAttributes;
  and: NoAttributes;
  where: NoAttributes;
  // reduction
  reduceSum: ReduceAttributes;
  reduceMean: ReduceAttributes;
  reduceMax: ReduceAttributes;
  // products
  /** alpha x op(a) op(b) over the last two axes; leading axes are equal. */
  matmul: { readonly transposeA: boolean; readonly transposeB: boolean; readonly alpha: number };
  /** x times a weight in codes, or its transpose: inputs x and the weight's leaves; see `ops/quantized-product.ts`. */
  quantizedMatmul: { readonly layout: QuantizedLayout; readonly transposeB: boolean };
  /** The same in integers: inputs x, the weight's bytes and its scales; see `ops/integer-product.ts`. */
  integerMatmul: { readonly layout: IntegerLayout; readonly transposeB: boolean };
  /** x times a weight in short blocks of codes: inputs x, codes and scales; see `ops/block-codes-product.ts`. */
  blockCodesMatmul: { readonly layout: BlockCodes };
  /** x times a weight with its adapter merged in: inputs x, the weight, A and B; see `ops/adapted-product.ts`. */
  adaptedMatmul: { readonly transposeB: boolean; readonly scale: number };
  /** A weight [out, in] with its adapter merged in: inputs the weight, A and B. */
  mergedWeight: { readonly scale: number };
  /** Groups of rows times a weight each: inputs x, bounds and the weights; see `ops/grouped-product.ts`. */
  groupedMatmul: {
    readonly groups: number;
    readonly transposeB: boolean;
    readonly alpha: number;
    readonly layout?: QuantizedLayout;
  };
  /** alpha x aᵀ b over the rows of one group. */
  groupedOuter: { readonly group: number; readonly alpha: number };
  // movement
  reshape: { readonly shape: Shape };
  expand: { readonly shape: Shape };
  transpose: { readonly permutation: readonly number[] };
  concat: { readonly axis: number; readonly total?: string };
  slice: { readonly axis: number; readonly start: number; readonly end: number };
  // indices
  /** Positions along the last axis by rising or falling value, the first `count` of them. */
  order: { readonly direction: 'ascending' | 'descending'; readonly count?: number };
  /** Rows of `a` (axis 0) by an index vector. */
  gather: NoAttributes;
  /** Zeros of `rows` rows with rows of `a` added at an index vector: the transpose of gather. */
  scatterAdd: { readonly rows: number | string };
  /** gather whose indices never meet twice: inputs a, index, inverse; see `ops/indexing.ts`. */
  permuteRows: { readonly fill: 'none' | 'any' | 'zero' };
  // fused
  softmax: NoAttributes;
  jointSoftmax: { readonly part: 'first' | 'second' };
  rmsNorm: { readonly epsilon: number };
  /** 1 / sqrt(mean(x^2) + epsilon) of the rows of an `rmsNorm`: inputs x and gain. */
  rmsScale: { readonly epsilon: number };
  layerNorm: { readonly epsilon: number };
  /** The last heads, so many, stay as they are. */
  rotary: { readonly passing?: number };
  crossEntropy: NoAttributes;
  crossEntropyGradient: NoAttributes;
  /** Inputs q, k, v and the layout's three; see `ops/causal-attention.ts`. */
  causalAttention: { readonly rule: ScoreRule; readonly form: 'rows' | 'blocks' };
  causalAttentionGradient: {
    readonly rule: ScoreRule;
    readonly form: 'rows' | 'blocks';
    readonly of: 'q' | 'k' | 'v';
  };
  /** Identity; the border between two segments of a segmented plan. */
  cut: { readonly index: number };
}

export type OpName = keyof OpAttributes;

/** One operation applied to its inputs. */
export interface Node<O extends OpName = OpName> {
  /** Grows in order of creation: inputs always have smaller ids. */
  readonly id: number;
  readonly op: O;
  readonly inputs: readonly Node[];
  readonly attributes: OpAttributes[O];
  readonly dtype: DType;
  readonly shape: Shape;
}

let nextId = 0;

/** Makes a node as told. Only the builders in `ops/` call it; they know the shape rules. */
export function makeNode<O extends OpName>(
  op: O,
  inputs: readonly Node[],
  attributes: OpAttributes[O],
  dtype: DType,
  shape: Shape,
): Node<O> {
  return { id: nextId++, op, inputs, attributes, dtype, shape };
}

/**
 * All nodes that `outputs` reach, inputs before users, otherwise in order of creation.
 * @param known nodes that are left out, with all that they reach.
 */
export function reachableNodes(outputs: readonly Node[], known?: ReadonlySet<Node>): Node[] {
  const seen = new Set<Node>();
  const stack = [...outputs];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (seen.has(node) || known?.has(node)) continue;
    seen.add(node);
    stack.push(...node.inputs);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/** Who reads each node, every reader once and in the order of `nodes`. */
export function usersOf(nodes: readonly Node[]): Map<Node, Node[]> {
  const users = new Map<Node, Node[]>();
  for (const node of nodes) {
    for (const input of new Set(node.inputs)) {
      const own = users.get(input);
      if (own) own.push(node);
      else users.set(input, [node]);
    }
  }
  return users;
}

/** How often each node is read, by nodes and as one of the outputs. */
export function countUses(nodes: readonly Node[], outputs: readonly Node[] = []): Map<Node, number> {
  const uses = new Map<Node, number>();
  for (const node of [...nodes.flatMap(({ inputs }) => inputs), ...outputs]) uses.set(node, (uses.get(node) ?? 0) + 1);
  return uses;
}
