/** The graphs of a plan's form, built once for a method whatever the batch; equal layers are one object. */
import * as g from '../graph/index.ts';
import { lowerGraph } from '../onnx/index.ts';
import type { Model } from '../models/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { type HeadStretch, headChunks } from './head-chunks.ts';
import { type LayerStages, layerStages } from './layer-stages.ts';
import { buildLoss, type LossForm } from './loss-graph.ts';
import { keepsAttended, type PlanForm, type SegmentedForm } from './plan-form.ts';
import { type Outputs, type Segment, type SegmentBody, segmentBodies, segmentOf } from './segments.ts';
import { readBytes, takesReadWeights } from './shared-program.ts';
import { lossOutput } from './step-plan.ts';
import { wholeOutputs } from './whole-plan.ts';

/** One stretch between two cuts, whole or in stages. */
export type PlannedLayer = Pick<SegmentBody, 'moves'> &
  (
    | { readonly segment: Segment; readonly stages?: undefined }
    | { readonly segment?: undefined; readonly stages: LayerStages }
  );

/** A step as one program. */
export interface WholeGraphs {
  readonly kind: 'whole';
  readonly step: Outputs;
  /** The loss alone, as evaluation takes it. */
  readonly loss: () => Outputs;
  /** Nodes of the largest program as onnxruntime gets it. */
  readonly nodeCount: number;
}

/** A step as programs that run in turn. */
export interface SegmentGraphs {
  readonly kind: 'segmented';
  readonly layers: readonly PlannedLayer[];
  /** At once, or its largest stretch. */
  readonly head: Segment | HeadStretch;
  /** Graphs whose weights are read into the memory that all shared programs use. */
  readonly shared: ReadonlySet<Outputs>;
  /** Bytes of that memory. */
  readonly read: number;
  readonly nodeCount: number;
}

export type PlannedGraphs = WholeGraphs | SegmentGraphs;

const made = new WeakMap<TuningMethod, Map<string, PlannedGraphs>>();

/** The graphs of a form. */
export function graphsOf(model: Model, method: TuningMethod, form: PlanForm, how: LossForm): PlannedGraphs {
  let forms = made.get(method);
  if (!forms) made.set(method, (forms = new Map()));
  const key = JSON.stringify([
    form.kind,
    how,
    form.kind === 'whole'
      ? []
      : [
          form.layersPerSegment,
          form.tailLayers,
          form.keptLayers,
          form.tokensAtOnce !== undefined,
          form.headBytes,
          keepsAttended(form),
        ],
  ]);
  let graphs = forms.get(key);
  if (!graphs) {
    graphs = form.kind === 'whole' ? wholeGraphs(model, method, how) : segmentGraphs(model, method, form, how);
    forms.set(key, graphs);
  }
  return graphs;
}

function wholeGraphs(model: Model, method: TuningMethod, how: LossForm): WholeGraphs {
  const step = wholeOutputs(model, method, how);
  let loss: Outputs | undefined;
  return {
    kind: 'whole',
    step,
    loss: () =>
      (loss ??= { [lossOutput]: buildLoss(model, method.source(false), model.layerCount, how, model.layerCount) }),
    nodeCount: nodeCountOf(step),
  };
}

function segmentGraphs(model: Model, method: TuningMethod, form: SegmentedForm, how: LossForm): SegmentGraphs {
  const bodies = segmentBodies(model, method, form.layersPerSegment, true, how, form.tailLayers);
  const keptFrom = bodies.length - 1 - (form.keptLayers ?? 0);
  const equal = new Map<string, { readonly layer: PlannedLayer; count: number }>();
  const layers = bodies.slice(0, -1).map((body, i): PlannedLayer => {
    const key = `${layerKey(body)} ${i >= keptFrom}`;
    const known = equal.get(key);
    if (known) {
      known.count++;
      return known.layer;
    }
    const stages = form.tokensAtOnce === undefined ? undefined : layerStages(body, method);
    const { moves } = body;
    const layer = stages ? { moves, stages } : { moves, segment: segmentOf(body, false, method, i >= keptFrom) };
    equal.set(key, { layer, count: 1 });
    return layer;
  });
  const chunks = form.headBytes === undefined ? undefined : headChunks(model, method, form.headBytes);
  const head = chunks ? chunks.stretches[0]! : segmentOf(bodies.at(-1)!, true, method);
  const all = [...[...equal.values()].flatMap(({ layer }) => programsOf(layer)), ...bothWays(head)];
  const several = [...equal.values()].flatMap(({ layer, count }) => (count > 1 ? programsOf(layer) : []));
  if (chunks && chunks.stretches.length > 1) several.push(...bothWays(head));
  const { shared, read } = sharedGraphs(several, all);
  return {
    kind: 'segmented',
    layers,
    head,
    shared,
    read,
    nodeCount: Math.max(...all.map(nodeCountOf)),
  };
}

/** Which graphs are given their weights, as `SegmentPrograms` decides it: those of several layers, and others that find room where they are read. */
function sharedGraphs(
  several: readonly Outputs[],
  all: readonly Outputs[],
): { readonly shared: ReadonlySet<Outputs>; readonly read: number } {
  const bytesOf = (graph: Outputs): number => readBytes(Object.values(graph));
  const takesWeights = (graph: Outputs): boolean => takesReadWeights(Object.values(graph));
  const equal = several.filter(takesWeights);
  const read = Math.max(0, ...equal.map(bytesOf));
  const others = all.filter((graph) => takesWeights(graph) && bytesOf(graph) <= read);
  return { shared: new Set([...equal, ...others]), read };
}

function bothWays({ forward, backward }: { forward: Outputs; backward: Outputs | undefined }): Outputs[] {
  return backward ? [forward, backward] : [forward];
}

function programsOf({ segment, stages }: PlannedLayer): Outputs[] {
  return segment ? bothWays(segment) : [stages.before, stages.mixing, stages.behind].flatMap(bothWays);
}

/** Layers of one key need the same memory. */
function layerKey({ end, moves, below }: SegmentBody): string {
  return `${g.reachableNodes([end]).length} ${g.weightBytes([end])} ${moves} ${below}`;
}

function nodeCountOf(outputs: Outputs): number {
  return lowerGraph(outputs, 'cpu').nodeCount;
}
