/** A graph as an ONNX model. */
import { accumulatedProducts, type DType, type Node, type OpName, reachableNodes, type Shape } from '../graph/index.ts';
import { normsOfSums, splitsOf, withoutReshapeChains } from './joint-nodes.ts';
import { type Lowering, lowerings, lowerProduct } from './lowering.ts';
import { encodeModel, type OnnxInitializer, type OnnxNode, type OnnxValue } from './proto.ts';
import { GraphWriter, type Provider } from './writer.ts';

/** Where the bytes of a frozen weight lie. */
export type WeightBytes = OnnxInitializer['data'];

/** A graph ready to be compiled by a runtime. */
export interface LoweredGraph {
  /** Encodes the ModelProto, with weights found by `locate`. */
  readonly encode: (locate: (weightName: string) => WeightBytes) => Uint8Array;
  /** Names, dtypes (bfloat16 as uint16) and shapes of what must be given at each run, apart from `barriers`. */
  readonly inputs: readonly { readonly name: string; readonly dtype: DType; readonly shape: Shape }[];
  /** int64 vectors that must be given too: each holds just its own shape numbers. */
  readonly barriers: ReadonlyMap<string, readonly number[]>;
  readonly outputs: readonly string[];
  /** The frozen weights that it reads. */
  readonly weights: readonly string[];
  readonly nodeCount: number;
}

/**
 * Lowers the graph that `outputs` reach.
 * @param expandsWeights f16 and bf16 weights become f32 once, in memory, when the program is made; else at each use.
 */
export function lowerGraph(
  outputs: Readonly<Record<string, Node>>,
  provider: Provider,
  expandsWeights = false,
): LoweredGraph {
  const writer = new GraphWriter(provider, expandsWeights);
  const inputs = new Map<string, OnnxValue & { shape: Shape }>();
  const weights = new Map<string, Node<'weight'>>();
  const nodes = reachableNodes(Object.values(outputs));
  for (const node of nodes) {
    if (node.op === 'input') {
      const { name } = (node as Node<'input'>).attributes;
      const isBits = node.dtype === 'bfloat16';
      inputs.set(name, { name, dtype: isBits ? 'uint16' : node.dtype, shape: node.shape });
      if (isBits) writer.bindBits(node, name);
      else writer.bind(node, name);
    } else if (node.op === 'weight') {
      weights.set((node as Node<'weight'>).attributes.name, node as Node<'weight'>);
    }
  }
  const accumulated = accumulatedProducts(nodes, Object.values(outputs));
  // where runs are many and short every node counts; in training a split would keep all parts alive as long as one
  const isShort = expandsWeights && provider === 'cpu';
  const sums = isShort ? normsOfSums(nodes, accumulated) : new Map<Node, Node<'add'>>();
  const splits = isShort ? splitsOf(nodes) : new Map<Node, readonly Node<'slice'>[]>();
  const absorbed = new Set<Node>([...accumulated.values(), ...sums.values()]);
  for (const node of nodes) {
    if (node.op === 'input' || absorbed.has(node)) continue;
    const parts = splits.get(node);
    if (parts) {
      if (parts.every((part) => part.id >= node.id)) lowerSplit(parts, writer);
      continue;
    }
    const sum = sums.get(node);
    if (sum) {
      lowerNormOfSum(node as Node<'rmsNorm'>, sum, writer);
      continue;
    }
    const product = accumulated.get(node);
    if (product) {
      const other = node.inputs.find((input) => input !== product)!;
      writer.bind(
        node,
        lowerProduct(
          product,
          writer,
          product.inputs.map((input) => writer.name(input)),
          writer.name(other),
        ),
      );
      continue;
    }
    const inputNames = node.inputs.map((input) => writer.name(input));
    writer.bind(node, lowerNode(node, writer, inputNames));
  }
  const results: OnnxValue[] = Object.entries(outputs).map(([name, node]) => ({ name, dtype: node.dtype }));
  const resultsLast = orderResults(writer, outputs);
  const ordered = isShort ? withoutReshapeChains(resultsLast, (value) => Object.hasOwn(outputs, value)) : resultsLast;
  const values = [...inputs.values(), ...writer.barrierValues()].map(({ name, dtype, shape }) => ({
    name,
    dtype,
    ...(shape ? { shape } : {}),
  }));
  return {
    encode: (locate) =>
      encodeModel({
        name: 'fettle',
        nodes: ordered,
        initializers: [
          ...writer.initializers,
          ...[...weights].map(([name, node]) => ({
            name,
            dtype: node.dtype,
            shape: node.shape as readonly number[],
            data: locate(name),
          })),
        ],
        inputs: values,
        outputs: results,
      }),
    inputs: [...inputs.values()],
    barriers: writer.barrierInputs,
    outputs: Object.keys(outputs),
    weights: [...weights.keys()],
    nodeCount: ordered.length,
  };
}

/** Slices that cover a tensor as one node. */
function lowerSplit(parts: readonly Node<'slice'>[], writer: GraphWriter): void {
  const [first] = parts as readonly [Node<'slice'>];
  const { axis } = first.attributes;
  const sizes = writer.integers(parts.map(({ attributes }) => attributes.end - attributes.start));
  const inputs = [writer.name(first.inputs[0]!), sizes];
  const names = writer.emitMany('Split', inputs, parts.length, { axis: BigInt(axis) });
  parts.forEach((part, i) => writer.bind(part, names[i]!));
}

/** A sum and its norm as one node, which gives both. */
function lowerNormOfSum(node: Node<'rmsNorm'>, sum: Node<'add'>, writer: GraphWriter): void {
  const inputs = [...sum.inputs, node.inputs[1]!].map((input) => writer.name(input));
  const { epsilon } = node.attributes;
  const [normed, , , total] = writer.emitMany(
    'SkipSimplifiedLayerNormalization',
    inputs,
    4,
    { epsilon },
    'com.microsoft',
    [1, 2],
  );
  writer.bind(sum, total!);
  writer.bind(node, normed!);
}

function lowerNode<O extends OpName>(node: Node<O>, writer: GraphWriter, inputs: readonly string[]): string {
  const lower: Lowering<O> = lowerings[node.op];
  return lower(node, writer, inputs);
}

/**
 * onnxruntime runs the last node that nobody consumes first, with all that it needs, then the one before it. Nodes that
 * only give results therefore stand at the end, youngest first: then results come in order of creation, the loss before
 * the gradients and those from the top layer down, and no activation waits for a gradient that is computed late.
 */
function orderResults(writer: GraphWriter, outputs: Readonly<Record<string, Node>>): OnnxNode[] {
  const consumed = new Set(consumedBy(writer.nodes));
  const producers = new Map(writer.nodes.flatMap((node) => node.outputs.map((value) => [value, node] as const)));
  const moved = new Set<OnnxNode>();
  const last: OnnxNode[] = [];
  const youngestFirst = Object.entries(outputs).sort(([, a], [, b]) => b.id - a.id);
  for (const [name, node] of youngestFirst) {
    const value = writer.name(node);
    const producer = producers.get(value);
    if (producer && producer.outputs.length === 1 && !consumed.has(value) && !moved.has(producer)) {
      moved.add(producer);
      last.push({ ...producer, outputs: [name] });
    } else {
      last.push({ opType: 'Identity', inputs: [value], outputs: [name] });
    }
  }
  return [...writer.nodes.filter((node) => !moved.has(node)), ...last];
}

/** The values that nodes read, those read in bodies included. */
function consumedBy(nodes: readonly OnnxNode[]): string[] {
  return nodes.flatMap(({ inputs, attributes }) => {
    const body = attributes?.['body'];
    return typeof body === 'object' && 'nodes' in body ? [...inputs, ...consumedBy(body.nodes)] : inputs;
  });
}
