/** Programs of segments: equal ones are kept and shared, others are made, run and released in turn. */
import * as g from '../graph/index.ts';
import { lowerGraph, type LoweredGraph } from '../onnx/index.ts';
import {
  compileLowered,
  type CompileOptions,
  type Program,
  type TensorValue,
  type WeightLocator,
} from '../runtime/index.ts';
import {
  numberGraph,
  type NumberedGraph,
  readBytes,
  SharedProgram,
  takesReadWeights,
  WeightReader,
} from './shared-program.ts';
import type { Outputs } from './segments.ts';

type Values = Record<string, TensorValue>;

/** A segment's graph of one direction. */
export interface SegmentGraph {
  readonly outputs: Outputs;
  readonly numbered: NumberedGraph;
  readonly shareable: boolean;
  /** Bytes of the weights that it reads, where it is shareable. */
  readonly readBytes: number;
  /** What it must be given. */
  readonly inputs: readonly g.Node<'input'>[];
  readonly names: readonly string[];
  lowered: LoweredGraph | undefined;
  readonly isKept: boolean;
}

/** A graph that is ready to run, until it is closed. */
export interface OpenSegment {
  run(feeds: Readonly<Values>): Promise<Values>;
  close(): Promise<void>;
}

export class SegmentPrograms {
  private readonly shared = new Map<string, Promise<SharedProgram>>();
  private readonly kept = new Map<SegmentGraph, Program>();
  private readonly signatures = new Map<string, number>();
  private readonly locate: WeightLocator;
  private readonly reader: WeightReader;
  /** Bytes of the weights of the largest graph that shares a program. */
  private mostRead = 0;
  private readonly options: CompileOptions;

  constructor(locate: WeightLocator, options: CompileOptions) {
    this.locate = locate;
    this.reader = new WeightReader(locate);
    this.options = options;
  }

  /**
   * Prepares a graph. Call it for all graphs before the first run: what is alone is not kept, unless it finds room for its
   * weights where those of others are read.
   * @param isKept keeps its program nevertheless: a large one, whose making takes as long as a layer.
   */
  prepare(outputs: Outputs, isKept = false): SegmentGraph {
    const numbered = numberGraph(outputs);
    const shareable = takesReadWeights(Object.values(outputs));
    const { signature } = numbered;
    const equal = (this.signatures.get(signature) ?? 0) + 1;
    this.signatures.set(signature, equal);
    const bytes = shareable ? readBytes(Object.values(outputs)) : 0;
    if (shareable && equal > 1) this.mostRead = Math.max(this.mostRead, bytes);
    const inputs = inputsOf(outputs);
    return {
      numbered,
      shareable,
      readBytes: bytes,
      inputs,
      names: inputs.map((node) => node.attributes.name),
      lowered: undefined,
      outputs,
      isKept,
    };
  }

  /** Makes the graph's program, or takes the one that it shares. */
  async open(graph: SegmentGraph): Promise<OpenSegment> {
    const { signature } = graph.numbered;
    if (graph.shareable && (this.signatures.get(signature)! > 1 || graph.readBytes <= this.mostRead)) {
      let program = this.shared.get(signature);
      if (!program) {
        program = SharedProgram.create(graph.numbered, this.locate, this.options);
        this.shared.set(signature, program);
      }
      const ready = await program;
      const { numbered } = graph;
      const run = (feeds: Readonly<Values>): Promise<Values> =>
        ready.run(numbered, this.reader.read(numbered, this.mostRead), feeds);
      return { run, close: async () => {} };
    }
    if (graph.isKept) {
      const program = this.kept.get(graph) ?? (await this.compile(graph));
      this.kept.set(graph, program);
      return { run: (feeds) => program.run(feeds), close: async () => {} };
    }
    const program = await this.compile(graph);
    return { run: (feeds) => program.run(feeds), close: () => program.release() };
  }

  private compile(graph: SegmentGraph): Promise<Program> {
    graph.lowered ??= lowerGraph(graph.outputs, this.options.device === 'webgpu' ? 'webgpu' : 'cpu');
    return compileLowered(graph.lowered, this.locate, this.options);
  }

  /** Runs a graph once. */
  async run(graph: SegmentGraph, feeds: Readonly<Values>): Promise<Values> {
    const program = await this.open(graph);
    try {
      return await program.run(feeds);
    } finally {
      await program.close();
    }
  }

  async release(): Promise<void> {
    for (const program of this.shared.values()) await (await program).release();
    this.shared.clear();
    for (const program of this.kept.values()) await program.release();
    this.kept.clear();
    this.reader.close();
  }
}

function inputsOf(outputs: Outputs): g.Node<'input'>[] {
  return g.reachableNodes(Object.values(outputs)).filter((node): node is g.Node<'input'> => node.op === 'input');
}
