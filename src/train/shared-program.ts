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

/** What weights of each dtype are read into; others onnxruntime does not take as inputs. */
const arrays: Partial<Record<g.DType, new (length: number) => TensorData>> = {
  float32: Float32Array,
  float16: Uint16Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  int8: Int8Array,
};

/** Weights up to this size are read anew for each run; larger ones are mapped by a program of their own. */
const maxReadBytes = 64e6;

/** Whether a graph's weights are given to it as it runs, so that equal graphs can share a program. */
export function takesReadWeights(outputs: readonly g.Node[]): boolean {
  const weights = g.reachableNodes(outputs).filter(({ op }) => op === 'weight');
  return weights.every(({ dtype }) => dtype in arrays) && g.weightBytes(outputs) <= maxReadBytes;
}

/** One program for all graphs of a signature; weights are read into buffers that every run uses again. */
export class SharedProgram {
  private readonly program: Program;
  private readonly locate: WeightLocator;
  private readonly files = new Map<string, number>();
  private readonly buffers = new Map<string, TensorValue>();

  private constructor(program: Program, locate: WeightLocator) {
    this.program = program;
    this.locate = locate;
  }

  static async create(graph: NumberedGraph, locate: WeightLocator, options: CompileOptions): Promise<SharedProgram> {
    const lowered: LoweredGraph = lowerGraph(graph.outputs, options.device === 'webgpu' ? 'webgpu' : 'cpu');
    return new SharedProgram(await compileLowered(lowered, locate, options), locate);
  }

  /** Runs one of the graphs; `feeds` go by the graph's own names, as the results do. */
  async run(graph: NumberedGraph, feeds: Readonly<Record<string, TensorValue>>): Promise<Record<string, TensorValue>> {
    const numbered: Record<string, TensorValue> = {};
    for (const [name, own] of graph.inputs) numbered[name] = feeds[own]!;
    for (const [name, weight] of graph.weights) numbered[name] = this.read(name, weight);
    const results = await this.program.run(numbered);
    return Object.fromEntries([...graph.results].map(([name, own]) => [own, results[name]!]));
  }

  private read(input: string, weight: g.Node<'weight'>): TensorValue {
    const source = this.locate(weight.attributes.name);
    let buffer = this.buffers.get(input);
    if (!buffer) {
      const shape = weight.shape as readonly number[];
      const data = new arrays[weight.dtype]!(g.elementCount(shape));
      this.buffers.set(input, (buffer = { dtype: weight.dtype, shape, data }));
    }
    const bytes = new Uint8Array(buffer.data.buffer);
    if (source instanceof Uint8Array) {
      bytes.set(source);
      return buffer;
    }
    let file = this.files.get(source.file);
    if (file === undefined) this.files.set(source.file, (file = openSync(source.file, 'r')));
    for (let done = 0; done < source.length;) {
      const count = readSync(file, bytes, done, source.length - done, source.offset + done);
      if (count === 0) throw new Error(`${source.file} has become shorter`);
      done += count;
    }
    return buffer;
  }

  async release(): Promise<void> {
    for (const file of this.files.values()) closeSync(file);
    await this.program.release();
  }
}
