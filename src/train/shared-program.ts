/**
 * Programs that equal layers share. Weights and names of a layer become numbered inputs of the graph; layers whose graphs
 * then read the same are one program, made once, which is given each layer's weights as it runs.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import * as g from '../graph/index.ts';
import type { LoweredGraph } from '../onnx/index.ts';
import { lowerGraph } from '../onnx/index.ts';
import {
  compileLowered,
  type CompileOptions,
  type Program,
  type TensorData,
  type TensorValue,
  type WeightLocator,
} from '../runtime/index.ts';

/** A graph with numbered names, and what the numbers stand for. */
export interface NumberedGraph {
  /** Equal for graphs that can share a program. */
  readonly signature: string;
  readonly outputs: Readonly<Record<string, g.Node>>;
  /** Numbered input -> the graph's own input. */
  readonly inputs: ReadonlyMap<string, string>;
  /** Numbered input -> the stored weight, with its dtype and shape. */
  readonly weights: ReadonlyMap<string, g.Node<'weight'>>;
  /** Numbered output -> the graph's own output. */
  readonly results: ReadonlyMap<string, string>;
}

/** Numbers the inputs, weights and outputs of a graph in order of creation. */
export function numberGraph(outputs: Readonly<Record<string, g.Node>>): NumberedGraph {
  const inputs = new Map<string, string>();
  const weights = new Map<string, g.Node<'weight'>>();
  const replacements = new Map<g.Node, g.Node>();
  for (const node of g.reachableNodes(Object.values(outputs))) {
    if (node.op !== 'input' && node.op !== 'weight') continue;
    const name = `i${replacements.size}`;
    if (node.op === 'weight') weights.set(name, node as g.Node<'weight'>);
    else inputs.set(name, (node as g.Node<'input'>).attributes.name);
    replacements.set(node, g.input(name, node.dtype, node.shape));
  }
  const results = new Map(Object.keys(outputs).map((name, i) => [`o${i}`, name]));
  const nodes = g.substitute(Object.values(outputs), replacements);
  const numbered = Object.fromEntries([...results.keys()].map((name, i) => [name, nodes[i]!]));
  return { signature: g.printGraph(numbered), outputs: numbered, inputs, weights, results };
}

/** What weights of each dtype are read into; others are not given to programs as inputs. */
const arrays: Partial<Record<g.DType, new (memory: ArrayBuffer, offset: number, length: number) => TensorData>> = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  int8: Int8Array,
};

/** Weights up to this size are read anew for each run; larger ones are mapped by a program of their own. */
const maxReadBytes = 64e6;
/** The same with routed experts, whose programs of thousands of nodes take seconds to make. */
const maxReadExpertBytes = 512e6;

/** Whether a graph's weights are given to it as it runs, so that equal graphs can share a program. */
export function takesReadWeights(outputs: readonly g.Node[]): boolean {
  const nodes = g.reachableNodes(outputs);
  const most = nodes.some(({ op }) => op === 'groupedMatmul') ? maxReadExpertBytes : maxReadBytes;
  return nodes.every(({ op, dtype }) => op !== 'weight' || dtype in arrays) && g.weightBytes(outputs) <= most;
}

/** Weights begin at multiples of this, as vector instructions like it. */
const alignment = 64;

/** Bytes that the weights of a graph take where they are read one behind the other. */
export function readBytes(outputs: readonly g.Node[]): number {
  return g
    .reachableNodes(outputs)
    .filter(({ op }) => op === 'weight')
    .reduce((sum, node) => sum + aligned(g.tensorBytes(node, {})), 0);
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/** Reads the weights of one graph at a time into memory that all shared programs use. */
export class WeightReader {
  private readonly locate: WeightLocator;
  private readonly files = new Map<string, number>();
  private memory = new ArrayBuffer(0);
  private holds: { readonly graph: NumberedGraph; readonly values: Readonly<Record<string, TensorValue>> } | undefined;

  constructor(locate: WeightLocator) {
    this.locate = locate;
  }

  /** The weights of a graph by numbered input, until those of another one are asked for. @param most bytes of the largest graph. */
  read(graph: NumberedGraph, most: number): Readonly<Record<string, TensorValue>> {
    if (this.holds?.graph === graph) return this.holds.values;
    this.holds = undefined;
    if (this.memory.byteLength < most) this.memory = new ArrayBuffer(most);
    const values: Record<string, TensorValue> = {};
    let offset = 0;
    for (const [name, weight] of graph.weights) {
      const shape = weight.shape as readonly number[];
      const data = new arrays[weight.dtype]!(this.memory, offset, g.elementCount(shape));
      this.readInto(new Uint8Array(this.memory, offset, data.byteLength), weight.attributes.name);
      values[name] = { dtype: weight.dtype, shape, data };
      offset += aligned(data.byteLength);
    }
    this.holds = { graph, values };
    return values;
  }

  private readInto(bytes: Uint8Array, weight: string): void {
    const source = this.locate(weight);
    if (source instanceof Uint8Array) {
      bytes.set(source);
      return;
    }
    let file = this.files.get(source.file);
    if (file === undefined) this.files.set(source.file, (file = openSync(source.file, 'r')));
    for (let done = 0; done < source.length;) {
      const count = readSync(file, bytes, done, source.length - done, source.offset + done);
      if (count === 0) throw new Error(`${source.file} has become shorter`);
      done += count;
    }
  }

  close(): void {
    for (const file of this.files.values()) closeSync(file);
    this.files.clear();
    this.holds = undefined;
    this.memory = new ArrayBuffer(0);
  }
}

/** One program for all graphs of a signature. */
export class SharedProgram {
  private readonly program: Program;

  private constructor(program: Program) {
    this.program = program;
  }

  static async create(graph: NumberedGraph, locate: WeightLocator, options: CompileOptions): Promise<SharedProgram> {
    const lowered: LoweredGraph = lowerGraph(graph.outputs, options.device === 'webgpu' ? 'webgpu' : 'cpu');
    return new SharedProgram(await compileLowered(lowered, locate, options));
  }

  /** Runs one of the graphs with its weights; `feeds` go by the graph's own names, as the results do. */
  async run(
    graph: NumberedGraph,
    weights: Readonly<Record<string, TensorValue>>,
    feeds: Readonly<Record<string, TensorValue>>,
  ): Promise<Record<string, TensorValue>> {
    const numbered: Record<string, TensorValue> = { ...weights };
    for (const [name, own] of graph.inputs) numbered[name] = feeds[own]!;
    const results = await this.program.run(numbered);
    return Object.fromEntries([...graph.results].map(([name, own]) => [own, results[name]!]));
  }

  async release(): Promise<void> {
    await this.program.release();
  }
}
