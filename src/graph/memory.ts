/**
 * How much memory a graph needs while it runs, by following its execution: results in order of creation, each with all
 * that it still needs, tensors freed after their last use. This is what onnxruntime does without memory patterns.
 */
import { rowStretches } from './ops/index.ts';
import { defaultBlockSizes, headsAtATime } from './attention-blocks.ts';
import { bytesPerElement } from './dtype.ts';
import { type Node, type OpName, reachableNodes } from './node.ts';
import { expandedRows, type QuantizedLayout, stackedWeights } from './quantized.ts';
import type { Dim, Shape } from './shape.ts';

/** Sizes of symbolic dimensions. */
export type Bindings = Readonly<Record<string, number>>;

/** Bytes of a tensor of this shape and dtype. */
export function tensorBytes(node: Pick<Node, 'shape' | 'dtype'>, bindings: Bindings): number {
  return countElements(node.shape, bindings) * bytesPerElement[node.dtype];
}

/** Bytes of the frozen weights that the outputs reach. */
export function weightBytes(outputs: readonly Node[]): number {
  return reachableNodes(outputs)
    .filter(({ op }) => op === 'weight')
    .reduce((sum, node) => sum + tensorBytes(node, {}), 0);
}

function countElements(shape: Shape, bindings: Bindings): number {
  return shape.reduce<number>((product, dim) => {
    const size = typeof dim === 'number' ? dim : bindings[dim];
    if (size === undefined) throw new Error(`no size is given for the dimension ${dim}`);
    return product * size;
  }, 1);
}

/** Results that are the same memory as their input. */
const aliases: ReadonlySet<OpName> = new Set(['reshape', 'cut']);
/** Results that onnxruntime writes over an input that nobody needs any more (measured, NOTES.md). */
const inPlace: ReadonlySet<OpName> = new Set(['softmax', 'sigmoid', 'tanh']);
/** Memory of temporaries inside a lowered operation, as a multiple of its result. */
const temporaries: Partial<Record<OpName, number>> = { crossEntropyGradient: 1 };

/** Most bytes that are alive at once: of all tensors, and of those below a size and from it on, each at its own time. */
export interface Peaks {
  readonly all: number;
  readonly small: number;
  readonly large: number;
}

/** Peak bytes of tensors that are alive at once; frozen weights and inputs are not counted. */
export function peakBytes(outputs: readonly Node[], bindings: Bindings): number {
  return peaksOf(outputs, bindings, Infinity).all;
}

/**
 * Peak bytes of small and of large tensors: those of at least `largeFrom` bytes.
 * @param mappedBytes what is mapped of a weight once it was used, until the graph has run: counted among the large.
 */
export function peaksOf(
  outputs: readonly Node[],
  bindings: Bindings,
  largeFrom: number,
  mappedBytes: (weight: Node) => number = () => 0,
): Peaks {
  const order = executionOrder(outputs);
  const storage = (node: Node): Node => (aliases.has(node.op) ? storage(node.inputs[0]!) : node);
  const uses = new Map<Node, number>();
  for (const node of order) {
    if (aliases.has(node.op)) continue;
    for (const input of new Set(readInputs(node).map(storage))) uses.set(input, (uses.get(input) ?? 0) + 1);
  }
  const kept = new Set(outputs.map(storage));
  const differentiated = new Set(
    order.flatMap(({ op, inputs }) => (op === 'causalAttentionGradient' ? inputs.slice(-2, -1) : [])),
  );
  const isLeaf = (node: Node): boolean => node.op === 'input' || node.op === 'weight' || node.op === 'constant';
  const alive = { all: 0, small: 0, large: 0 };
  const peaks = { all: 0, small: 0, large: 0 };
  const kindOf = (size: number): 'small' | 'large' => (size < largeFrom ? 'small' : 'large');
  const add = (size: number): void => {
    alive.all += size;
    alive[kindOf(Math.abs(size))] += size;
  };
  const sizes = new Map<Node, number>();
  const mapped = new Set<Node>();
  for (const node of order) {
    if (isLeaf(node) || aliases.has(node.op)) continue;
    for (const weight of node.inputs) {
      if (weight.op !== 'weight' || mapped.has(weight)) continue;
      mapped.add(weight);
      const bytes = mappedBytes(weight);
      alive.all += bytes;
      alive.large += bytes;
    }
    const size =
      tensorBytes(node, bindings) +
      (remembers(node, differentiated) ? rowBytes(node, bindings) : 0) +
      copiedBytes(node, largeFrom);
    const inputs = [...new Set(readInputs(node).map(storage))];
    const dying = inputs.filter((input) => uses.get(input) === 1 && !isLeaf(input) && !kept.has(input));
    const reused = inPlace.has(node.op) ? dying.find((input) => sizes.get(input) === size) : undefined;
    const extra = (temporaries[node.op] ?? 0) * size + innerBytes(node, size, bindings);
    // attention computes in many small steps
    const extraKind = node.op.startsWith('causalAttention') ? 'small' : kindOf(extra);
    sizes.set(node, size);
    if (!reused) add(size);
    peaks.all = Math.max(peaks.all, alive.all + extra);
    for (const kind of ['small', 'large'] as const) {
      peaks[kind] = Math.max(peaks[kind], alive[kind] + (kind === extraKind ? extra : 0));
    }
    for (const input of inputs) {
      uses.set(input, uses.get(input)! - 1);
      if (dying.includes(input) && input !== reused) add(-(sizes.get(input) ?? 0));
    }
    if (!uses.has(node) && !kept.has(node)) add(-size);
  }
  return peaks;
}

/**
 * A weight that is cast is copied first, by the reshape that keeps the session from casting it when it is made. The copy of a large
 * table was measured to stay as long as what is cast from it (NOTES.md).
 */
function copiedBytes({ op, inputs }: Node, largeFrom: number): number {
  const weight = inputs[0];
  if (op !== 'cast' || weight?.op !== 'weight') return 0;
  const bytes = tensorBytes(weight, {});
  return bytes < largeFrom ? 0 : bytes;
}

/** What a node reads when its turn comes: the logits of a cross-entropy are read before the softmax is written over them. */
function readInputs({ op, inputs }: Node): readonly Node[] {
  return op === 'crossEntropy' ? inputs.slice(1) : inputs;
}

/** What an operation of many steps needs beside its result of `size` bytes. */
function innerBytes(node: Node, size: number, bindings: Bindings): number {
  if (node.op === 'groupedMatmul') return groupedBytes(node as Node<'groupedMatmul'>, size, bindings);
  // the merged weight
  if (node.op === 'adaptedMatmul') return tensorBytes(node.inputs[1]!, bindings);
  if (node.op === 'causalAttention') return attentionBytes(node as Node<'causalAttention'>, bindings);
  if (node.op === 'causalAttentionGradient') {
    return attentionGradientBytes(node as Node<'causalAttentionGradient'>, bindings);
  }
  if (node.op === 'integerMatmul') return integerBytes(node as Node<'integerMatmul'>, size, bindings);
  if (node.op !== 'quantizedMatmul') return 0;
  return layoutBytes((node as Node<'quantizedMatmul'>).attributes.layout, size);
}

/**
 * The rows split into groups, which stand as long as the rows themselves; the products of the groups before they stand
 * together; and one weight in f32 where it is stored otherwise, of codes as many as are expanded together.
 */
function groupedBytes(node: Node<'groupedMatmul'>, size: number, bindings: Bindings): number {
  const { layout, groups } = node.attributes;
  const rows = tensorBytes(node.inputs[0]!, bindings);
  const stacked = layout ? stackedWeights(layout, groups) : 1;
  if (layout && stacked > 1) return rows + size + stacked * layout.shape[0] * layout.shape[1] * 9.5;
  if (layout) return rows + size + layoutBytes(layout, size / groups);
  const weight = node.inputs[2]!;
  return rows + size + (weight.dtype === 'float32' ? 0 : countElements(weight.shape, {}) * 4);
}

function layoutBytes(layout: QuantizedLayout, size: number): number {
  const chunks = expandedRows(layout);
  const values = Math.max(...chunks.map(([begin, end]) => end - begin)) * layout.shape[1];
  // f32 twice (looked up, then scaled) and the codes as indices; partial results stand beside the whole
  const expanded = values * (layout.dtype === 'int8' ? 5 : 9.5);
  return expanded + (chunks.length > 1 ? size : 0);
}

/**
 * What a product in integers needs beside its result of `size` bytes: x scaled for the weight's rows where it is a gradient, what
 * the first byte leaves where there are two, the bytes, the products of each before the rows' scales, a weight that is turned round.
 */
function integerBytes({ attributes, inputs }: Node<'integerMatmul'>, size: number, bindings: Bindings): number {
  const { layout, transposeB } = attributes;
  const { terms, gradient, bothWays } = layout.integer;
  const count = transposeB ? terms : gradient === 2 ? 2 : 1;
  const x = tensorBytes(inputs[0]!, bindings);
  const bytes = (x / 4) * count;
  const turned = transposeB && !bothWays ? layout.shape[0] * layout.shape[1] : 0;
  const rounding = (transposeB ? 0 : x) + (count === 2 ? 2 * x : 0);
  return bytes + Math.max(rounding - size, size * count + turned);
}

/** Nodes in the order in which they run. */
function executionOrder(outputs: readonly Node[]): Node[] {
  const done = new Set<Node>();
  const order: Node[] = [];
  for (const output of [...outputs].sort((a, b) => a.id - b.id)) {
    for (const node of reachableNodes([output])) {
      if (done.has(node)) continue;
      done.add(node);
      order.push(node);
    }
  }
  return order;
}

/** Attention in rows whose gradient is computed in the same program leaves it what both need. */
function remembers(node: Node, differentiated: ReadonlySet<Node>): node is Node<'causalAttention'> {
  const isInRows = node.op === 'causalAttention' && (node as Node<'causalAttention'>).attributes.form === 'rows';
  return isInRows && differentiated.has(node);
}

/** Queries, keys and values in rows, and the probabilities of the stretches. */
function rowBytes({ inputs }: Node<'causalAttention'>, bindings: Bindings): number {
  const heads = inputs[0]!.shape[1] as number;
  return inputs.slice(0, 3).reduce((sum, input) => sum + tensorBytes(input, bindings), rowScores(heads, bindings));
}

/** The part of a square that the stretches compute. */
function rowScores(heads: number, bindings: Bindings): number {
  const { B: rows = 1, T: length = 0 } = bindings;
  return rows * heads * length * length * 4 * ((rowStretches + 1) / (2 * rowStretches));
}

/** One block of attention: bytes of its scores for the heads of a pass, and of its keys, for those and for all heads. */
function attentionBlockBytes(
  { inputs, attributes: { rule } }: Node<'causalAttention' | 'causalAttentionGradient'>,
  bindings: Bindings,
): { readonly scores: number; readonly keys: number; readonly allKeys: number } {
  const [, heads, size] = inputs[0]!.shape as [Dim, number, number];
  const groups = inputs[1]!.shape[1] as number;
  const tokens = bindings['T'] ?? countElements([inputs[0]!.shape[0]!], bindings);
  const rows = Math.min(defaultBlockSizes.rows, tokens);
  const keys = Math.min(tokens, (rule.window ?? tokens) + rows);
  const atATime = headsAtATime(rows, tokens, { heads, groups });
  return {
    scores: rows * keys * atATime * (heads / groups) * 4,
    keys: keys * atATime * size * 4,
    allKeys: keys * groups * size * 4,
  };
}

/** Keys and values turned round, the blocks' results before they are joined, and one pass: scores before and after the mask. */
function attentionBytes(node: Node<'causalAttention'>, bindings: Bindings): number {
  if (node.attributes.form === 'rows') return rowBytes(node, bindings) / 2;
  const { scores, keys } = attentionBlockBytes(node, bindings);
  const turned = 2 * tensorBytes(node.inputs[1]!, bindings);
  return Math.max(turned + 2 * scores + 2 * keys, tensorBytes(node, bindings));
}

/**
 * The three gradients are computed by the loop of the first, and wait as lists for their turn. Of keys and values: both turned
 * round and once more with a column of ones; of a block: the gradients of its keys, what was carried, and their sum.
 */
function attentionGradientBytes(node: Node<'causalAttentionGradient'>, bindings: Bindings): number {
  const key = tensorBytes(node.inputs[1]!, bindings);
  if (node.attributes.of !== 'q') return key;
  if (node.attributes.form === 'rows') {
    // the largest stretch's scores twice, dy with its sums in both layouts
    const scores = (2 * rowScores(node.inputs[0]!.shape[1] as number, bindings)) / rowStretches;
    return 2 * scores + 3 * tensorBytes(node, bindings) + 2 * key;
  }
  const { scores, keys, allKeys } = attentionBlockBytes(node, bindings);
  const inLoop = 3 * key + 4 * scores + 4 * keys + 5 * allKeys;
  return 2 * key + Math.max(inLoop, tensorBytes(node, bindings));
}
