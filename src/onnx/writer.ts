/** Collects the ONNX nodes of one graph: names, constants, shape tensors. Knows nothing of single operations. */
import { type Node, type Shape } from '../graph/index.ts';
import {
  type AttributeValue,
  dataTypeCodes,
  type OnnxGraph,
  type OnnxInitializer,
  type OnnxNode,
  type OnnxValue,
} from './proto.ts';

/** Which set of operators the nodes may use. */
export type Provider = 'cpu' | 'webgpu';

export class GraphWriter {
  readonly provider: Provider;
  /** Whether stored weights become f32 once, when the program is made, instead of at each use. */
  readonly expandsWeights: boolean;
  readonly nodes: OnnxNode[] = [];
  readonly initializers: OnnxInitializer[] = [];
  /** int64 inputs that hold a known shape: what depends on them cannot be folded before the run. */
  readonly barrierInputs = new Map<string, readonly number[]>();
  /** Where new nodes go: the graph's own list, or that of the body being written. */
  private target = this.nodes;
  private readonly names = new Map<Node, string>();
  private readonly bits = new Map<Node, string>();
  private readonly constants = new Map<string, string>();
  private readonly dimensions = new Map<string, { tensor: string; axis: number; name?: string }>();
  private readonly shared = new Map<string, unknown>();
  private counter = 0;

  constructor(provider: Provider, expandsWeights: boolean) {
    this.provider = provider;
    this.expandsWeights = expandsWeights;
  }

  /** The name of the value that `node` was lowered to. */
  name(node: Node): string {
    const bits = this.bits.get(node);
    // anew for each use, so that no copy of it waits for the next one
    if (bits !== undefined) return this.emit('BitCast', [bits], { to: BigInt(dataTypeCodes[node.dtype]) });
    const name = this.names.get(node);
    if (name === undefined) throw new Error(`node ${node.op} is used before it is lowered`);
    return name;
  }

  /** Records the value of a node, and where its symbolic dimensions can be read from. */
  bind(node: Node, name: string): void {
    this.names.set(node, name);
    node.shape.forEach((dim, axis) => {
      if (typeof dim === 'string' && !this.dimensions.has(dim)) this.dimensions.set(dim, { tensor: name, axis });
    });
  }

  /** Records a value whose bits are given as another type of the same size, since the runtime takes no input of its own type. */
  bindBits(node: Node, name: string): void {
    this.bits.set(node, name);
  }

  /** Adds a node of one result and gives the result's name. */
  emit(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = '',
  ): string {
    return this.emitMany(opType, inputs, 1, attributes, domain)[0]!;
  }

  /** Adds a node of `count` results, of which those at `unwanted` places are not made and have no name. */
  emitMany(
    opType: string,
    inputs: readonly string[],
    count: number,
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = '',
    unwanted: readonly number[] = [],
  ): string[] {
    const outputs = Array.from({ length: count }, (_, i) => (unwanted.includes(i) ? '' : `v${this.counter++}`));
    this.target.push({ opType, inputs, outputs, attributes, domain });
    return outputs;
  }

  /** What `emit` adds, as the body of a loop. It may read every value of the graph around it, but not ask for dimensions. */
  body(inputs: readonly OnnxValue[], emit: () => readonly OnnxValue[]): OnnxGraph {
    const outer = this.target;
    const nodes: OnnxNode[] = [];
    this.target = nodes;
    try {
      return { name: 'body', nodes, initializers: [], inputs, outputs: emit() };
    } finally {
      this.target = outer;
    }
  }

  /** A name that no other value has. */
  freshName(): string {
    return `v${this.counter++}`;
  }

  /** What `emit` gives the first time it is called under this key: several operations may share it. */
  once<T>(key: string, emit: () => T): T {
    if (!this.shared.has(key)) this.shared.set(key, emit());
    return this.shared.get(key) as T;
  }

  /** A constant int64 vector (or scalar, with an empty `shape`). */
  integers(values: readonly number[], shape: readonly number[] = [values.length]): string {
    return this.constant(`i${shape.length}:${values.join()}`, () => ({
      dtype: 'int64',
      shape,
      data: bytesOf(BigInt64Array.from(values, BigInt)),
    }));
  }

  /** A constant f32 tensor. */
  floats(values: readonly number[], shape: readonly number[] = []): string {
    return this.constant(`f${shape.join()}:${values.join()}`, () => ({
      dtype: 'float32',
      shape,
      data: bytesOf(Float32Array.from(values)),
    }));
  }

  /** A constant u8 scalar, or tensor. */
  bytes(values: readonly number[], shape: readonly number[] = []): string {
    return this.constant(`b${shape.join()}:${values.join()}`, () => ({
      dtype: 'uint8',
      shape,
      data: Uint8Array.from(values),
    }));
  }

  /** A constant tensor that is made at its first use; `key` stands for its contents. */
  table(key: string, shape: readonly number[], make: () => Float32Array): string {
    return this.constant(`t:${key}`, () => ({ dtype: 'float32', shape, data: bytesOf(make()) }));
  }

  private constant(key: string, make: () => Omit<OnnxInitializer, 'name'>): string {
    let name = this.constants.get(key);
    if (name === undefined) {
      name = `c${this.constants.size}`;
      this.constants.set(key, name);
      this.initializers.push({ name, ...make() });
    }
    return name;
  }

  /** An int64 vector that holds `shape` at run time; a dimension called `inferred` becomes -1. */
  shapeTensor(shape: Shape, inferred?: string): string {
    if (shape.every((dim) => typeof dim === 'number' || dim === inferred)) {
      return this.integers(shape.map((dim) => (typeof dim === 'number' ? dim : -1)));
    }
    const parts: string[] = [];
    let known: number[] = [];
    const flush = (): void => {
      if (known.length > 0) parts.push(this.integers(known));
      known = [];
    };
    for (const dim of shape) {
      if (typeof dim === 'number') known.push(dim);
      else if (dim === inferred) known.push(-1);
      else {
        flush();
        parts.push(this.dimension(dim));
      }
    }
    flush();
    return parts.length === 1 ? parts[0]! : this.emit('Concat', parts, { axis: 0n });
  }

  /** Whether the size of a symbolic dimension can be read from a value lowered so far. */
  knowsDimension(dim: string): boolean {
    return this.dimensions.has(dim);
  }

  /** An int64 vector of one element: the size that a symbolic dimension has at run time. */
  dimension(dim: string): string {
    const source = this.dimensions.get(dim);
    if (!source) throw new Error(`nothing lowered so far has the dimension ${dim}`);
    source.name ??= this.emit('Shape', [source.tensor], { start: BigInt(source.axis), end: BigInt(source.axis + 1) });
    return source.name;
  }

  /** An input that holds `shape` at run time but is unknown before: keeps the optimiser from folding what follows. */
  barrierShape(shape: readonly number[]): string {
    const name = `shape_${shape.join('x')}`;
    this.barrierInputs.set(name, shape);
    return name;
  }

  /**
   * `value` as it is, its rank unknown to onnxruntime until it runs, and so that of all that is computed from it. What has a
   * shape is looked for among all earlier values of that size when a session is made, to take over the memory of one: a search
   * that grows with the square of the nodes (NOTES.md).
   */
  withoutRank(value: string, shape: readonly number[]): string {
    const name = `ranked_${shape.join('x')}`;
    this.barrierInputs.set(name, shape);
    return this.emit('Reshape', [value, name]);
  }

  /** The values at the border that the barriers ask for. */
  barrierValues(): OnnxValue[] {
    return [...this.barrierInputs].map(([name, shape]) => ({
      name,
      dtype: 'int64',
      shape: [name.startsWith('ranked') ? 'ranks' : shape.length],
    }));
  }
}

function bytesOf(array: BigInt64Array | Float32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
