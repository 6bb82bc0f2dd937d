/**
 * The segmented plan (`gradient_checkpointing`): the loss graph cut between groups of layers. Forward and backward
 * programs run in turn, so that memory is one segment's and the inputs of the layers; each backward program computes its
 * forward part again. Equal layers share a program; others are created, run and released in turn.
 */
import { gradients } from '../autodiff/index.ts';
import * as g from '../graph/index.ts';
import type { Model } from '../models/index.ts';
import { lowerGraph, type LoweredGraph } from '../onnx/index.ts';
import {
  collectGarbage,
  compileLowered,
  type CompileOptions,
  type TensorValue,
  type WeightLocator,
} from '../runtime/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { buildLoss } from './loss-graph.ts';
import { numberGraph, type NumberedGraph, SharedProgram, takesReadWeights } from './shared-program.ts';
import { gradientOutput, lossOutput, type StepPlan, trainableNodes } from './step-plan.ts';

/** A program's input and output at the cut below and above it, and the gradients that arrive and leave there. */
const names = { input: 'x', output: 'y', arriving: 'dy', leaving: 'dx' } as const;

/** Results that may pile up before the collector is called. */
const garbageBytes = 48e6;

/** One stretch of the graph between two cuts. */
export interface Segment {
  /** Outputs of the forward program; undefined for the last segment, which runs once for both directions. */
  readonly forward: Readonly<Record<string, g.Node>> | undefined;
  /** Outputs of the backward program; undefined where nothing below its end moves. */
  readonly backward: Readonly<Record<string, g.Node>> | undefined;
}

/** Cuts the loss graph into segments: embedding, groups of layers, head and loss. */
export function buildSegments(model: Model, method: TuningMethod, layersPerSegment: number): Segment[] {
  const loss = buildLoss(model, method.source(true), layersPerSegment);
  const cuts = g.cutNodes([loss]);
  const ends: g.Node[] = [...cuts, loss];
  const bodies = ends.map((end, i): { end: g.Node; start: g.Node | undefined } => {
    const cut = cuts[i - 1];
    if (!cut) return { end, start: undefined };
    const start = g.input(names.input, cut.dtype, cut.shape);
    const [body] = g.substitute([end], new Map([[cut, start]]));
    return { end: body!, start };
  });
  const movedBySegment = bodies.map(({ end }) => trainableNodes([end], method));
  const firstMoved = movedBySegment.findIndex((moved) => moved.size > 0);
  return bodies.map(({ end, start }, i): Segment => {
    const last = i === bodies.length - 1;
    const forward = last ? undefined : { [names.output]: end };
    if (firstMoved < 0 || i < firstMoved) return { forward, backward: last ? { [lossOutput]: end } : undefined };
    const moved = movedBySegment[i]!;
    const seed = last ? g.constant([1], [1, 1]) : g.input(names.arriving, end.dtype, end.shape);
    const below = start && i > firstMoved ? [start] : [];
    const flows = gradients([{ output: end, seed }], [...below, ...moved.values()]);
    const backward: Record<string, g.Node> = last ? { [lossOutput]: end } : {};
    if (below.length > 0) backward[names.leaving] = flows[0]!;
    [...moved.keys()].forEach((name, k) => {
      const flow = flows[below.length + k];
      if (flow) backward[gradientOutput(name)] = flow;
    });
    return { forward, backward };
  });
}

/** Programs of the graphs: shared ones are kept, others are made, run and released in turn. */
class SegmentPrograms {
  private readonly shared = new Map<string, Promise<SharedProgram>>();
  private readonly signatures = new Map<string, number>();
  private readonly locate: WeightLocator;
  private readonly options: CompileOptions;
  private garbage = 0;

  constructor(locate: WeightLocator, options: CompileOptions) {
    this.locate = locate;
    this.options = options;
  }

  /** Prepares a graph. Call it for all graphs before the first run: what is alone is not kept. */
  prepare(outputs: Readonly<Record<string, g.Node>>): SegmentGraph {
    const numbered = numberGraph(outputs);
    const shareable = takesReadWeights(Object.values(outputs));
    const { signature } = numbered;
    this.signatures.set(signature, (this.signatures.get(signature) ?? 0) + 1);
    const names = [...numbered.inputs.values()];
    return { numbered, shareable, names, lowered: undefined, outputs };
  }

  async run(graph: SegmentGraph, feeds: Readonly<Record<string, TensorValue>>): Promise<Record<string, TensorValue>> {
    const { signature } = graph.numbered;
    const results =
      graph.shareable && this.signatures.get(signature)! > 1
        ? await this.runShared(graph, feeds)
        : await this.runAlone(graph, feeds);
    for (const { data } of Object.values(results)) this.garbage += data.byteLength;
    if (this.garbage > garbageBytes) {
      collectGarbage();
      this.garbage = 0;
    }
    return results;
  }

  private async runShared(
    { numbered }: SegmentGraph,
    feeds: Readonly<Record<string, TensorValue>>,
  ): Promise<Record<string, TensorValue>> {
    let program = this.shared.get(numbered.signature);
    if (!program) {
      program = SharedProgram.create(numbered, this.locate, this.options);
      this.shared.set(numbered.signature, program);
    }
    return (await program).run(numbered, feeds);
  }

  private async runAlone(
    graph: SegmentGraph,
    feeds: Readonly<Record<string, TensorValue>>,
  ): Promise<Record<string, TensorValue>> {
    graph.lowered ??= lowerGraph(graph.outputs, this.options.device === 'webgpu' ? 'webgpu' : 'cpu');
    const program = await compileLowered(graph.lowered, this.locate, this.options);
    try {
      return await program.run(feeds);
    } finally {
      await program.release();
    }
  }

  async release(): Promise<void> {
    for (const program of this.shared.values()) await (await program).release();
    this.shared.clear();
  }
}

/** A segment's graph of one direction. */
interface SegmentGraph {
  readonly outputs: Readonly<Record<string, g.Node>>;
  readonly numbered: NumberedGraph;
  readonly shareable: boolean;
  /** Names of what it must be given. */
  readonly names: readonly string[];
  lowered: LoweredGraph | undefined;
}

/** Builds the segmented plan. */
export function segmentedPlan(
  model: Model,
  method: TuningMethod,
  locate: WeightLocator,
  options: CompileOptions,
  layersPerSegment: number,
): StepPlan {
  const programs = new SegmentPrograms(locate, options);
  const segments = buildSegments(model, method, layersPerSegment).map(({ forward, backward }) => ({
    forward: forward && programs.prepare(forward),
    backward: backward && programs.prepare(backward),
  }));
  return {
    kind: 'segmented',
    step: async (feeds, feedsFor, collect, onProgress) => {
      let done = 0;
      const runs = segments.length * 2 - 1;
      const run = async (
        graph: SegmentGraph,
        extra: Readonly<Record<string, TensorValue>>,
      ): Promise<Record<string, TensorValue>> => {
        const results = await programs.run(graph, { ...feeds, ...extra, ...feedsFor(graph.names) });
        onProgress?.(++done / runs);
        return results;
      };
      const inputs: (TensorValue | undefined)[] = [undefined];
      for (const { forward } of segments) {
        if (!forward) continue;
        const x = inputs.at(-1);
        inputs.push((await run(forward, x ? { [names.input]: x } : {}))[names.output]);
      }
      let arriving: TensorValue | undefined;
      for (let i = segments.length - 1; i >= 0; i--) {
        const graph = segments[i]!.backward;
        if (!graph) break;
        const x = inputs.pop();
        const results = await run(graph, {
          ...(x ? { [names.input]: x } : {}),
          ...(arriving ? { [names.arriving]: arriving } : {}),
        });
        arriving = results[names.leaving];
        for (const [name, value] of Object.entries(results)) if (name !== names.leaving) collect(name, value);
      }
    },
    release: () => programs.release(),
  };
}
