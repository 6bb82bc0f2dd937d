/**
 * How much memory a graph needs while it runs, by following its execution: results in order of creation, each with all
 * that it still needs, tensors freed after their last use. This is what onnxruntime does without memory patterns.
 */
import { rowStretches } from './ops/index.ts';
import { defaultBlockSizes, headsAtATime } from './attention-blocks.ts';
import { bytesPerElement } from './dtype.ts';
import { Heap, type Tensor } from './heap.ts';
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
/**
 * Results that onnxruntime writes over an input that nobody needs any more, where it knows before the run that both are of one
 * size: not behind a weight that is cast, whose shape the lowering hides from it (measured, NOTES.md).
 */
const inPlace: ReadonlySet<OpName> = new Set(['softmax', 'sigmoid', 'tanh']);
/** What a run of a graph does, without its sizes: the same for every batch. */
export interface Schedule {
  readonly steps: readonly ScheduledNode[];
  readonly outputs: readonly Node[];
}

interface ScheduledNode {
  readonly node: Node;
  /** Weights that it is the first to read. */
  readonly weights: readonly Node[];
  /** Results that nobody needs any more once it has run; its own where nobody reads it. */
  readonly dying: readonly Node[];
  /** Whether attention's gradient needs more of it than the result. */
  readonly remembers: boolean;
  /** Whether it may be written over an input. */
  readonly inPlace: boolean;
}

/** Blocks that a node takes, in bytes. */
interface NodeBlocks {
  readonly node: Node;
  /** Made one after the other, each freed when the next one stands, the last one when the result does. */
  readonly chain: readonly number[];
  /** They stand beside the chain and the result, and are freed with it. */
  readonly beside: readonly number[];
  /** Products over stretches of a weight, behind the chain and before the result. */
  readonly stretches?: Stretches | undefined;
  /** Passes over blocks of rows, before the result. */
  readonly loop?: Loop | undefined;
  /** The result, with what stays as long. */
  readonly result: readonly number[];
  /** Memory that the result is written over. */
  readonly over: Node | undefined;
  readonly dying: readonly Node[];
  /** What is mapped of weights before it runs. */
  readonly mapped: number;
}

/** A product whose weight is expanded in stretches, one after the other. */
interface Stretches {
  /** As `chain`, for each stretch; its last block is freed when the stretch's product stands. */
  readonly chains: readonly (readonly number[])[];
  /** Bytes of the product of one stretch. */
  readonly product: number;
  /** Whether each product is the sum so far, which frees the one before; else all stand until the result does. */
  readonly isSum: boolean;
}

/** Attention in blocks: its results wait as a list of small pieces until they are joined. */
interface Loop {
  /** Stand as long as the loop runs. */
  readonly inputs: readonly number[];
  readonly passes: readonly LoopPass[];
}

interface LoopPass {
  /** Freed at its end. */
  readonly inside: readonly number[];
  /** Stand until the result does. */
  readonly pieces: readonly number[];
}

/** A graph's run on a batch of a certain size. */
export interface MeasuredRun {
  readonly blocks: readonly NodeBlocks[];
  /** Where the memory of the outputs stands, and their bytes. */
  readonly outputs: readonly { readonly storage: Node; readonly bytes: number }[];
}

/** The order in which onnxruntime runs a graph, and what dies with each node. */
export function scheduleOf(outputs: readonly Node[]): Schedule {
  const order = executionOrder(outputs).filter((node) => !isLeaf(node) && !aliases.has(node.op));
  const kept = new Set(outputs.map(storageOf));
  const uses = new Map<Node, number>();
  for (const node of order) for (const input of readStorage(node)) uses.set(input, (uses.get(input) ?? 0) + 1);
  const differentiated = new Set(
    order.flatMap(({ op, inputs }) => (op === 'causalAttentionGradient' ? inputs.slice(-2, -1) : [])),
  );
  const read = new Set<Node>();
  const hidden = new Set<Node>();
  for (const node of order) {
    const [first] = node.inputs;
    if ((node.op === 'cast' && first!.op === 'weight') || node.inputs.some((input) => hidden.has(storageOf(input)))) {
      hidden.add(node);
    }
  }
  const steps = order.map((node): ScheduledNode => {
    const weights = [...new Set(node.inputs)].filter((input) => input.op === 'weight' && !read.has(input));
    for (const weight of weights) read.add(weight);
    const inputs = readStorage(node);
    const dying = inputs.filter((input) => uses.get(input) === 1 && !isLeaf(input) && !kept.has(input));
    for (const input of inputs) uses.set(input, uses.get(input)! - 1);
    if (!uses.has(node) && !kept.has(node)) dying.push(node);
    return {
      node,
      weights,
      dying,
      remembers: remembers(node, differentiated),
      inPlace: inPlace.has(node.op) && !hidden.has(node),
    };
  });
  return { steps, outputs };
}

/**
 * The blocks of a run. @param mappedBytes what is mapped of a weight from its first use on.
 * @throws Error where a dimension has no size.
 */
export function measureRun(
  { steps, outputs }: Schedule,
  bindings: Bindings,
  mappedBytes: (weight: Node) => number = () => 0,
): MeasuredRun {
  const blocks = steps.map(({ node, weights, dying, remembers: more, inPlace: isInPlace }): NodeBlocks => {
    const size = tensorBytes(node, bindings);
    return {
      node,
      ...innerBlocks(node, size, bindings, mappedBytes),
      result: more ? [size, ...rowBlocks(node, bindings)] : [size],
      over: isInPlace ? dying.find((input) => tensorBytes(input, bindings) === size) : undefined,
      dying,
      mapped: weights.reduce((sum, weight) => sum + mappedBytes(weight), 0),
    };
  });
  return {
    blocks,
    outputs: outputs.map((output) => ({ storage: storageOf(output), bytes: tensorBytes(output, bindings) })),
  };
}

/**
 * Runs a graph on a heap. Its results are copied on their way into JavaScript, which frees them when it has read them.
 * @returns the copies, in the order of the outputs
 */
export function runOn(heap: Heap, { blocks, outputs }: MeasuredRun): Tensor[] {
  const standing = new Map<Node, Tensor[]>();
  for (const { node, chain, beside, stretches, loop, result, over, dying, mapped } of blocks) {
    if (mapped > 0) heap.map(mapped);
    const inner = beside.map((bytes) => heap.take(bytes));
    const last = follow(heap, chain);
    if (stretches) inner.push(...productsOf(heap, stretches));
    if (loop) inner.push(...piecesOf(heap, loop));
    standing.set(node, over ? standing.get(over)! : result.map((bytes) => heap.take(bytes)));
    if (last) heap.give(last);
    for (const block of inner) heap.give(block);
    for (const input of dying) {
      if (input !== over) for (const block of standing.get(input) ?? []) heap.give(block);
      standing.delete(input);
    }
  }
  const copies = outputs.map(({ bytes }) => heap.take(bytes));
  for (const stood of new Set(outputs.map(({ storage }) => standing.get(storage)))) {
    for (const block of stood ?? []) heap.give(block);
  }
  return copies;
}

/** Takes blocks one after the other, each freed when the next one stands. @returns the last one */
function follow(heap: Heap, chain: readonly number[]): Tensor | undefined {
  let last: Tensor | undefined;
  for (const bytes of chain) {
    const next = heap.take(bytes);
    if (last) heap.give(last);
    last = next;
  }
  return last;
}

/** Takes the products of all stretches. @returns those that stand when the result is made: not the last sum, which it is */
function productsOf(heap: Heap, { chains, product, isSum }: Stretches): Tensor[] {
  const standing: Tensor[] = [];
  for (const chain of chains) {
    const expanded = follow(heap, chain);
    const made = heap.take(product);
    if (expanded) heap.give(expanded);
    if (isSum && standing.length > 0) heap.give(standing.pop()!);
    standing.push(made);
  }
  if (isSum) heap.give(standing.pop()!);
  return standing;
}

/** Plays the passes of a loop. @returns the pieces of its results */
function piecesOf(heap: Heap, { inputs, passes }: Loop): Tensor[] {
  const take = (bytes: number): Tensor => heap.take(bytes);
  const read = inputs.map(take);
  const made = passes.flatMap(({ inside, pieces }) => {
    const blocks = inside.map(take);
    const results = pieces.map(take);
    for (const block of blocks) heap.give(block);
    return results;
  });
  for (const block of read) heap.give(block);
  return made;
}

/** Peak bytes of tensors that are alive at once; frozen weights and inputs are not counted. */
export function peakBytes(outputs: readonly Node[], bindings: Bindings): number {
  const heap = new Heap(Infinity);
  for (const block of runOn(heap, measureRun(scheduleOf(outputs), bindings))) heap.give(block);
  return heap.mostAlive;
}

function isLeaf({ op }: Node): boolean {
  return op === 'input' || op === 'weight' || op === 'constant';
}

/** The node whose memory a node's result is. */
function storageOf(node: Node): Node {
  return aliases.has(node.op) ? storageOf(node.inputs[0]!) : node;
}

function readStorage(node: Node): Node[] {
  return [...new Set(readInputs(node).map(storageOf))];
}

/** What a node reads when its turn comes: the logits of a cross-entropy are read before the softmax may be written over them. */
function readInputs({ op, inputs }: Node): readonly Node[] {
  return op === 'crossEntropy' ? inputs.slice(1) : inputs;
}

/** What an operation of many steps takes before its result and beside it. */
type Inner = Pick<NodeBlocks, 'chain' | 'beside' | 'stretches' | 'loop'>;

function innerBlocks(node: Node, size: number, bindings: Bindings, mappedBytes: (weight: Node) => number): Inner {
  switch (node.op) {
    case 'cast': {
      // what was read is copied before it is cast, what is mapped is not (see the lowering of casts)
      const weight = node.inputs[0]!;
      return {
        chain: weight.op === 'weight' && mappedBytes(weight) === 0 ? [tensorBytes(weight, {})] : [],
        beside: [],
      };
    }
    case 'groupedMatmul':
      return groupedBlocks(node as Node<'groupedMatmul'>, size, bindings);
    case 'adaptedMatmul':
      // the merged weight
      return { chain: [tensorBytes(node.inputs[1]!, bindings)], beside: [] };
    case 'causalAttention':
      return attentionBlocks(node as Node<'causalAttention'>, size, bindings);
    case 'causalAttentionGradient':
      return attentionGradientBlocks(node as Node<'causalAttentionGradient'>, bindings);
    case 'integerMatmul':
      return integerBlocks(node as Node<'integerMatmul'>, size, bindings);
    case 'quantizedMatmul':
      return quantizedBlocks(node as Node<'quantizedMatmul'>, size);
    default:
      return { chain: [], beside: [] };
  }
}

/**
 * The rows split into groups, which stand as long as the rows themselves; the products of the groups before they stand
 * together; and one weight in f32 where it is stored otherwise, of codes as many as are expanded together.
 */
function groupedBlocks(node: Node<'groupedMatmul'>, size: number, bindings: Bindings): Inner {
  const { layout, groups } = node.attributes;
  const rows = tensorBytes(node.inputs[0]!, bindings);
  const parts = [...evenly(rows, groups), ...evenly(size, groups)];
  if (layout) {
    const stacked = stackedWeights(layout, groups);
    const { chain, beside } =
      stacked > 1 ? expansionBlocks(layout, 0, stacked) : expansionBlocks(layout, size / groups);
    return { chain, beside: [...parts, ...beside] };
  }
  const weight = node.inputs[2]!;
  return { chain: weight.dtype === 'float32' ? [] : [countElements(weight.shape, {}) * 4], beside: parts };
}

function evenly(bytes: number, count: number): number[] {
  return Array.from({ length: count }, () => bytes / count);
}

/** The scales, then stretch by stretch the rows in f32 and their product. */
function quantizedBlocks({ attributes: { layout, transposeB } }: Node<'quantizedMatmul'>, size: number): Inner {
  const { chain, beside } = scaleBlocks(layout);
  const rows = expandedRows(layout).map(([begin, end]) => expandedBlocks(layout, end - begin));
  if (rows.length === 1) return { chain: [...chain, ...rows[0]!], beside };
  const product = transposeB ? size / rows.length : size;
  return { chain, beside, stretches: { chains: rows, product, isSum: !transposeB } };
}

/**
 * Nested scales as indices, looked up, scaled; their sums with the offset stand as long as the product is under way. Where it
 * has several stretches, so do the scales before them: their shape is known, and they wait for others of their size (measured).
 */
function scaleBlocks(layout: QuantizedLayout): Inner {
  if (layout.dtype === 'int8' || layout.nestedBlockSize === undefined) return { chain: [], beside: [] };
  const bytes = Math.ceil((layout.shape[0] * layout.shape[1]) / layout.blockSize) * 4;
  return { chain: [bytes / 4, bytes, bytes, bytes], beside: [bytes] };
}

/** Rows of a weight: codes cut out, as indices, looked up, scaled. */
function expandedBlocks(layout: QuantizedLayout, rows: number, stacked = 1): number[] {
  const values = rows * layout.shape[1] * stacked;
  return layout.dtype === 'int8' ? [values, values * 4] : [values / 2, values, values * 4, values * 4];
}

/** A weight of a group's, or several that are expanded together; partial results stand beside the whole. */
function expansionBlocks(layout: QuantizedLayout, size: number, stacked = 1): Inner {
  const chunks = expandedRows(layout);
  const chain = expandedBlocks(layout, Math.max(...chunks.map(([begin, end]) => end - begin)), stacked);
  return { chain, beside: chunks.length > 1 ? evenly(size, chunks.length) : [] };
}

/**
 * What a product in integers needs beside its result of `size` bytes: x scaled for the weight's rows where it is a gradient, what
 * the first byte leaves where there are two, the bytes, the products of each before the rows' scales, a weight that is turned round.
 */
function integerBlocks({ attributes, inputs }: Node<'integerMatmul'>, size: number, bindings: Bindings): Inner {
  const { layout, transposeB } = attributes;
  const { terms, gradient, bothWays } = layout.integer;
  const count = transposeB ? terms : gradient === 2 ? 2 : 1;
  const x = tensorBytes(inputs[0]!, bindings);
  const bytes = evenly((x / 4) * count, count);
  const turned = transposeB && !bothWays ? [layout.shape[0] * layout.shape[1]] : [];
  const rounding = [...(transposeB ? [] : [x]), ...(count === 2 ? [x, x] : [])];
  return { chain: rounding, beside: [...bytes, ...evenly(size * count, count), ...turned] };
}

/** Nodes in the order in which they run. */
function executionOrder(outputs: readonly Node[]): Node[] {
  const done = new Set<Node>();
  const order: Node[] = [];
  for (const output of [...outputs].sort((a, b) => a.id - b.id)) {
    for (const node of reachableNodes([output], done)) {
      done.add(node);
      order.push(node);
    }
  }
  return order;
}

/** Attention in rows whose gradient is computed in the same program leaves it what both need. */
function remembers(node: Node, differentiated: ReadonlySet<Node>): boolean {
  const isInRows = node.op === 'causalAttention' && (node as Node<'causalAttention'>).attributes.form === 'rows';
  return isInRows && differentiated.has(node);
}

/** Queries, keys and values in rows, and the probabilities of the stretches. */
function rowBlocks({ inputs }: Node, bindings: Bindings): number[] {
  const heads = inputs[0]!.shape[1] as number;
  const scores = rowScores(heads, bindings);
  const parts = rowStretches * (rowStretches + 1);
  return [
    ...inputs.slice(0, 3).map((input) => tensorBytes(input, bindings)),
    ...Array.from({ length: rowStretches }, (_, i) => (scores * 2 * (i + 1)) / parts),
  ];
}

/** The part of a square that the stretches compute. */
function rowScores(heads: number, bindings: Bindings): number {
  const { B: rows = 1, T: length = 0 } = bindings;
  return rows * heads * length * length * 4 * ((rowStretches + 1) / (2 * rowStretches));
}

/** A block of attention: bytes of its scores for the heads of a pass, and of its keys, for those and for all heads. */
interface AttentionBlock {
  readonly scores: number;
  readonly keys: number;
  readonly allKeys: number;
}

/** So many blocks of the longest row are played, the last ones first as they run; those between them are much like them. */
const playedAttentionBlocks = 16;

/** The blocks that are played, and how many there are in all. */
function attentionBlocksOf(
  { inputs, attributes: { rule } }: Node<'causalAttention' | 'causalAttentionGradient'>,
  bindings: Bindings,
): { readonly played: readonly AttentionBlock[]; readonly count: number } {
  const [dim, heads, size] = inputs[0]!.shape as [Dim, number, number];
  const groups = inputs[1]!.shape[1] as number;
  const all = countElements([dim], bindings);
  const tokens = bindings['T'] ?? all;
  const rows = Math.min(defaultBlockSizes.rows, tokens);
  const ofRow = Math.ceil(tokens / rows);
  const playedCount = Math.min(ofRow, playedAttentionBlocks);
  const played = Array.from({ length: playedCount }, (_, i): AttentionBlock => {
    const last = Math.min(tokens, Math.ceil((ofRow * (playedCount - i)) / playedCount) * rows);
    const keys = Math.min(last, (rule.window ?? tokens) + rows);
    const atATime = headsAtATime(rows, keys, { heads, groups });
    return {
      scores: rows * keys * atATime * (heads / groups) * 4,
      keys: keys * atATime * size * 4,
      allKeys: keys * groups * size * 4,
    };
  });
  return { played, count: Math.max(playedCount, Math.ceil(all / rows)) };
}

/** A loop over blocks. @param results bytes of each of its results, of which every block makes a piece. */
function attentionLoop(
  { played, count }: ReturnType<typeof attentionBlocksOf>,
  inputs: readonly number[],
  results: readonly number[],
  inside: (block: AttentionBlock) => readonly number[],
): Loop {
  const passes = played.map((block, i): LoopPass => {
    const own = Math.floor((count * (i + 1)) / played.length) - Math.floor((count * i) / played.length);
    return { inside: inside(block), pieces: results.flatMap((bytes) => times(own, bytes / count)) };
  });
  return { inputs, passes };
}

function times(count: number, bytes: number): number[] {
  return Array.from({ length: count }, () => bytes);
}

/** Keys and values turned round, and in each block scores before and after the mask. */
function attentionBlocks(node: Node<'causalAttention'>, size: number, bindings: Bindings): Inner {
  if (node.attributes.form === 'rows') {
    return { chain: [], beside: rowBlocks(node, bindings).map((bytes) => bytes / 2) };
  }
  const key = tensorBytes(node.inputs[1]!, bindings);
  const loop = attentionLoop(attentionBlocksOf(node, bindings), [key, key], [size], ({ scores, keys }) => [
    ...times(2, keys),
    ...times(2, scores),
  ]);
  return { chain: [], beside: [], loop };
}

/**
 * The three gradients are computed by the loop of the first, and wait as lists for their turn. Of keys and values: both turned
 * round and once more with a column of ones; of a block: the gradients of its keys, what was carried, and their sum.
 */
function attentionGradientBlocks(node: Node<'causalAttentionGradient'>, bindings: Bindings): Inner {
  const key = tensorBytes(node.inputs[1]!, bindings);
  const isInRows = node.attributes.form === 'rows';
  if (node.attributes.of !== 'q') {
    return { chain: [], beside: isInRows ? [key] : evenly(key, attentionBlocksOf(node, bindings).count) };
  }
  const own = tensorBytes(node, bindings);
  if (isInRows) {
    // the largest stretch's scores twice, dy with its sums in both layouts
    const scores = (2 * rowScores(node.inputs[0]!.shape[1] as number, bindings)) / rowStretches;
    return { chain: [], beside: [scores, scores, own, own, own, key, key] };
  }
  const blocks = attentionBlocksOf(node, bindings);
  const loop = attentionLoop(blocks, times(3, key), [own, key, key], ({ scores, keys, allKeys }) => [
    ...times(4, keys),
    ...times(4, scores),
    ...times(5, allKeys),
  ]);
  return { chain: [], beside: [], loop };
}
