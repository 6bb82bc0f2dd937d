/**
 * How much memory a graph needs while it runs, by following its execution: results in order of creation, each with all
 * that it still needs, tensors freed after their last use. This is what onnxruntime does without memory patterns.
 */
import { accumulatedProducts } from './accumulated-products.ts';
import { Heap, type Tensor } from './heap.ts';
import { type Node, type OpName, reachableNodes } from './node.ts';
import {
  type Bindings,
  type InnerBlocks,
  innerBlocks,
  type Loop,
  rowBlocks,
  type Stretches,
  tensorBytes,
} from './node-blocks.ts';

/** Bytes of the frozen weights that the outputs reach. */
export function weightBytes(outputs: readonly Node[]): number {
  return reachableNodes(outputs)
    .filter(({ op }) => op === 'weight')
    .reduce((sum, node) => sum + tensorBytes(node, {}), 0);
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
interface NodeBlocks extends InnerBlocks {
  readonly node: Node;
  /** The result, with what stays as long. */
  readonly result: readonly number[];
  /** Memory that the result is written over. */
  readonly over: Node | undefined;
  readonly dying: readonly Node[];
  /** What is mapped of weights before it runs. */
  readonly mapped: number;
}

/** A graph's run on a batch of a certain size. */
export interface MeasuredRun {
  readonly blocks: readonly NodeBlocks[];
  /** Where the memory of the outputs stands, and their bytes. */
  readonly outputs: readonly { readonly storage: Node; readonly bytes: number }[];
}

/** The order in which onnxruntime runs a graph, and what dies with each node. */
export function scheduleOf(outputs: readonly Node[]): Schedule {
  const nodes = executionOrder(outputs);
  const accumulated = accumulatedProducts(nodes, outputs);
  const absorbed = new Set<Node>(accumulated.values());
  const order = nodes.filter((node) => !isLeaf(node) && !aliases.has(node.op) && !absorbed.has(node));
  const inputsOf = (node: Node): readonly Node[] =>
    readInputs(node).flatMap((input) => (accumulated.get(node) === input ? input.inputs : [input]));
  const readStorage = (node: Node): Node[] => [...new Set(inputsOf(node).map(storageOf))];
  const kept = new Set(outputs.map(storageOf));
  const uses = new Map<Node, number>();
  for (const node of order) for (const input of readStorage(node)) uses.set(input, (uses.get(input) ?? 0) + 1);
  const differentiated = new Set(
    order.flatMap(({ op, inputs }) => (op === 'causalAttentionGradient' ? inputs.slice(-2, -1) : [])),
  );
  const read = new Set<Node>();
  const hidden = new Set<Node>();
  for (const node of order) {
    const inputs = inputsOf(node);
    if ((node.op === 'cast' && inputs[0]!.op === 'weight') || inputs.some((input) => hidden.has(storageOf(input)))) {
      hidden.add(node);
    }
  }
  const steps = order.map((node): ScheduledNode => {
    const weights = [...new Set(inputsOf(node))].filter((input) => input.op === 'weight' && !read.has(input));
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

/** What a node reads when its turn comes: the logits of a cross-entropy are read before the softmax may be written over them. */
function readInputs({ op, inputs }: Node): readonly Node[] {
  return op === 'crossEntropy' ? inputs.slice(1) : inputs;
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
