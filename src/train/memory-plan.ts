/** What a training run will need of the memory, before it starts. */
import * as g from '../graph/index.ts';
import type { Model } from '../models/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { headChunks, headNames, headRowsAtOnce } from './head-chunks.ts';
import { layerStages } from './layer-stages.ts';
import { valuesPerToken } from './kept-products.ts';
import { buildLoss, type LossForm, lossForm } from './loss-graph.ts';
import { keepsAttended, type PlanForm, type SegmentedForm } from './plan-form.ts';
import { type Outputs, type SegmentBody, segmentBodies, segmentOf } from './segments.ts';
import { readBytes, takesReadWeights } from './shared-program.ts';
import { lossOutput } from './step-plan.ts';
import { wholeOutputs } from './whole-plan.ts';

/** The largest micro-batch of a run: rows B of at most T tokens, N tokens in all, R of them trained. */
export interface BatchSize {
  readonly rows: number;
  readonly longest: number;
  readonly tokens: number;
  readonly labelled: number;
  /** The largest batch that is evaluated on, where the run evaluates. */
  readonly evaluation?: BatchSize | undefined;
  /** Tokens of a micro-batch of the run, in the mean; left out: all are as large. */
  readonly meanTokens?: number;
}

/** Bytes by what they are for. `peak` is the expected VmHWM of the trainer. */
export interface MemoryPlan {
  readonly form: PlanForm;
  /** Frozen weights that a program sees at once, mapped from their files. */
  readonly weights: number;
  /** Tensors that move, and their gradients. */
  readonly trained: number;
  readonly optimizer: number;
  readonly activations: number;
  readonly peak: number;
}

/** Node, onnxruntime and the program itself, and for each node of the largest graph; measured (NOTES.md). */
const processBytes = 125e6;
const nodeBytes = 8e3;
/**
 * What the allocator leaves unused between blocks where weights in codes are expanded: blocks of other sizes than the
 * activations come and go between them. A part of the graph's small blocks, measured (NOTES.md).
 */
const expansionHoles = 0.25;
/** Half of the results that may pile up before the collector is called (`SegmentPrograms`): so much was found beside the rest. */
const meanGarbage = 24e6;
/**
 * Blocks from this size on go back to the system when they are freed, smaller ones stay in the heap (run/spawn): what the
 * smaller ones of one program left stands beside the larger ones of another.
 */
const largeFrom = 32 << 20;
/** What the kernel maps around a page that is touched. */
const mappedAround = 65_536;

/** A program of a step: what it computes, and what lies in memory beside it. */
interface PlannedRun {
  readonly outputs: Outputs;
  /** Tensors in JavaScript, and inputs that are kept. */
  readonly held: number;
  readonly bindings: g.Bindings;
}

/** Graphs of a plan's form; equal layers stand there once. */
interface PlannedGraphs {
  readonly whole?: Outputs;
  /** The loss alone, as evaluation takes it. */
  readonly loss?: () => Outputs;
  readonly segments?: readonly {
    readonly graphs: readonly Outputs[];
    /** Of these, or in their place, what evaluation runs. */
    readonly forward: readonly Outputs[];
    readonly kind: 'segment' | 'tail' | 'head stretch' | 'stage' | 'mixing';
    /** Bytes of one token between the parts of the layer. */
    readonly between: number;
  }[];
  /** Graphs whose weights are read into the memory that all shared programs use. */
  readonly shared: ReadonlySet<Outputs>;
  /** Bytes of that memory: it stays while other programs run. */
  readonly read: number;
  /** Bytes of a token that a segment leaves for its backward pass, where it keeps its products. */
  readonly keptPerToken: number;
}

const made = new WeakMap<TuningMethod, Map<string, PlannedGraphs>>();

/** The graphs of a form, built once for a method whatever the batch. */
function graphsOf(model: Model, method: TuningMethod, form: PlanForm, how: LossForm): PlannedGraphs {
  let forms = made.get(method);
  if (!forms) made.set(method, (forms = new Map()));
  const { kind, ...rest } = form;
  const key = JSON.stringify([
    kind,
    how,
    'layersPerSegment' in rest
      ? [
          rest.layersPerSegment,
          rest.tailLayers,
          keepsProducts(rest, model),
          rest.tokensAtOnce !== undefined,
          rest.headBytes,
          keepsAttended(rest),
        ]
      : [],
  ]);
  let graphs = forms.get(key);
  if (!graphs) {
    graphs =
      form.kind === 'whole'
        ? {
            whole: wholeOutputs(model, method, how),
            loss: once(() => ({
              [lossOutput]: buildLoss(model, method.source(false), model.layerCount, how, model.layerCount),
            })),
            shared: new Set(),
            read: 0,
            keptPerToken: 0,
          }
        : segmentGraphs(model, method, form, how);
    forms.set(key, graphs);
  }
  return graphs;
}

/** Which segments leave their products to the backward pass. */
function keepsProducts(
  { keptLayers = 0, layersPerSegment, tailLayers = 0 }: Omit<SegmentedForm, 'kind'>,
  { layerCount }: Model,
): string {
  if (keptLayers === 0) return 'none';
  return keptLayers < Math.ceil((layerCount - tailLayers) / layersPerSegment) ? 'some' : 'all';
}

function segmentGraphs(model: Model, method: TuningMethod, form: SegmentedForm, how: LossForm): PlannedGraphs {
  const bodies = segmentBodies(model, method, form.layersPerSegment, true, how, form.tailLayers);
  const segments: NonNullable<PlannedGraphs['segments']>[number][] = [];
  const seen = new Set<string>();
  const shared = new Set<Outputs>();
  let read = 0;
  let keptPerToken = 0;
  const both = ({ forward, backward }: { forward: Outputs; backward: Outputs | undefined }): Outputs[] =>
    backward ? [forward, backward] : [forward];
  const share = (graphs: readonly Outputs[]): void => {
    for (const graph of graphs) {
      const nodes = Object.values(graph);
      if (!takesReadWeights(nodes)) continue;
      shared.add(graph);
      read = Math.max(read, readBytes(nodes));
    }
  };
  bodies.slice(0, -1).forEach((body, i) => {
    const key = layerKey(body);
    if (seen.has(key)) return;
    seen.add(key);
    const isShared = i > 0 && bodies.length > 3;
    const stages = form.tokensAtOnce === undefined ? undefined : layerStages(body, method);
    const keeping = form.keptLayers && !stages ? segmentOf(body, false, method, true) : undefined;
    const graphs = stages
      ? [...both(stages.before), ...both(stages.behind)]
      : [
          ...(keeping ? both(keeping) : []),
          ...(!keeping || keepsProducts(form, model) === 'some' ? both(segmentOf(body, false, method)) : []),
        ];
    const bytes = (nodes: readonly g.Node[]): number => nodes.reduce((sum, node) => sum + 4 * valuesPerToken(node), 0);
    if (keeping) keptPerToken = Math.max(keptPerToken, bytes(keeping.kept.map((name) => keeping.forward[name]!)));
    // what goes into attention and comes out of it, and the gradient of the latter; of the former too where that is computed
    const [mixed, given] = stages ? [bytes(stages.mixed), bytes(stages.given)] : [0, 0];
    const between = 2 * given + (keepsAttended(form) ? 0 : mixed);
    const forward = stages ? [stages.before.forward, stages.behind.forward] : [graphs[0]!];
    segments.push({ graphs, forward, kind: stages ? 'stage' : 'segment', between });
    if (stages) {
      const graphsOfMixing = both(stages.mixing);
      segments.push({
        graphs: graphsOfMixing,
        forward: graphsOfMixing.slice(0, 1),
        kind: 'mixing',
        between: 2 * given + 2 * mixed,
      });
    }
    if (isShared) share(graphs);
  });
  const stretches = form.headBytes === undefined ? undefined : headChunks(model, method, form.headBytes);
  if (stretches) {
    const stretch = stretches.stretches[0]!;
    const graphs = both(stretch);
    segments.push({ graphs, forward: [stretch.forward], kind: 'head stretch', between: 0 });
    if (stretches.stretches.length > 1) share(graphs);
  } else {
    const { forward, backward } = segmentOf(bodies.at(-1)!, true, method);
    segments.push({ graphs: [backward!], forward: [forward], kind: 'tail', between: 0 });
  }
  return { segments, shared, read, keptPerToken };
}

/** Layers of one key need the same memory. */
function layerKey({ end, moves, below }: SegmentBody): string {
  const nodes = g.reachableNodes([end]);
  return `${nodes.length} ${g.weightBytes([end])} ${moves} ${below}`;
}

/** Bytes of each weight as a program touches it: of a table that is only looked up, the rows of the batch. */
function touchedWeights(outputs: Outputs, bindings: g.Bindings): Map<g.Node, number> {
  const nodes = g.reachableNodes(Object.values(outputs));
  const touched = new Map<g.Node, number>();
  for (const [weight, using] of g.usersOf(nodes)) {
    if (weight.op !== 'weight') continue;
    const size = g.tensorBytes(weight, {});
    const lookups = using.filter((node) => node.op === 'gather' && node.inputs[0] === weight);
    const rows = lookups.reduce(
      (count, node) => count + g.tensorBytes({ ...node.inputs[1]!, dtype: 'uint8' }, bindings),
      0,
    );
    const row = size / Number(weight.shape[0] ?? 1);
    touched.set(weight, lookups.length < using.length ? size : Math.min(size, rows * (row + mappedAround)));
  }
  return touched;
}

function sumOf(bytes: Iterable<number>): number {
  let sum = 0;
  for (const count of bytes) sum += count;
  return sum;
}

function computesInIntegers(outputs: Outputs): boolean {
  return g.reachableNodes(Object.values(outputs)).some(({ op }) => op === 'integerMatmul');
}

function expandsCodes(outputs: Outputs): boolean {
  return g.reachableNodes(Object.values(outputs)).some(({ op }) => op === 'quantizedMatmul');
}

/** Memory of one step under a plan. */
export function memoryOf(
  model: Model,
  method: TuningMethod,
  batch: BatchSize,
  optimizerBytesPerValue: number,
  form: PlanForm,
): MemoryPlan {
  const values = method.trainables.reduce((sum, { shape }) => sum + g.elementCount(shape), 0);
  const trained = values * 8;
  const optimizer = values * optimizerBytesPerValue;
  const masks = method.dropoutSites.reduce(
    (sum, { width, rowsPerToken }) => sum + width * rowsPerToken * batch.tokens,
    0,
  );
  const graphs = graphsOf(model, method, form, lossForm(model, 'cpu', batch.longest, batch.meanTokens ?? batch.tokens));
  let runs: PlannedRun[];
  if (form.kind === 'whole') {
    // results are copied once more on their way into JavaScript
    const whole = { outputs: graphs.whole!, bindings: bindingsOf(model, batch) };
    runs = [{ ...whole, held: values * 4 + masks + integerBytes(whole.outputs, whole.bindings) }];
  } else {
    runs = segmentRuns(model, batch, form, graphs, masks, values * 4);
  }
  if (batch.evaluation) runs.push(...evaluationRuns(model, batch.evaluation, form, graphs));
  // a whole step's program stays open, with its weights, while another one evaluates
  const standing =
    batch.evaluation && graphs.whole ? sumOf(touchedWeights(graphs.whole, bindingsOf(model, batch)).values()) : 0;
  const programs = runs.map(({ outputs, held, bindings }) => {
    const touched = touchedWeights(outputs, bindings);
    const isRead = graphs.shared.has(outputs);
    // a whole step in integers packs its weights when it is made
    const packed = form.kind === 'whole' && computesInIntegers(outputs) ? sumOf(touched.values()) : 0;
    const mapped = (weight: g.Node): number => (isRead || packed > 0 ? 0 : touched.get(weight)!);
    const { all, small, large } = g.peaksOf(Object.values(outputs), bindings, largeFrom, mapped);
    const holes = expandsCodes(outputs) ? expansionHoles * small : 0;
    return {
      mapped: isRead || packed > 0 ? 0 : sumOf(touched.values()),
      all: all + holes,
      small: small + holes,
      large,
      held,
      standing: packed + (outputs === graphs.whole ? 0 : standing),
    };
  });
  // what small blocks have taken stays in the heap while other programs run
  const heap = form.kind === 'whole' ? 0 : Math.max(...programs.map(({ small }) => small));
  const total = ({ all, large, held, standing: beside }: (typeof programs)[number]): number =>
    Math.max(all, large + heap) + held + beside;
  const most = programs.reduce((best, program) => (total(program) > total(best) ? program : best));
  const weights = most.mapped + most.standing;
  const nodes = Math.max(...runs.map(({ outputs }) => g.reachableNodes(Object.values(outputs)).length));
  const activations = Math.max(0, total(most) - weights) + graphs.read;
  return {
    form,
    weights,
    trained,
    optimizer,
    activations,
    peak: processBytes + nodes * nodeBytes + weights + trained + optimizer + activations,
  };
}

/** The programs of an evaluation: forward, and nothing is kept. */
function evaluationRuns(model: Model, batch: BatchSize, form: PlanForm, graphs: PlannedGraphs): PlannedRun[] {
  if (form.kind === 'whole') return [{ outputs: graphs.loss!(), held: 0, bindings: bindingsOf(model, batch) }];
  const segments = graphs.segments!.map((segment) => ({ ...segment, graphs: segment.forward }));
  return segmentRuns(model, batch, { ...form, keptIn: 'disk', keptLayers: 0 }, { ...graphs, segments }, 0, 0);
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

function segmentRuns(
  model: Model,
  batch: BatchSize,
  form: SegmentedForm,
  { segments, keptPerToken }: PlannedGraphs,
  masks: number,
  gradients: number,
): PlannedRun[] {
  const border = batch.tokens * model.hiddenSize * 4;
  const tail = form.tailLayers ?? 0;
  const layers = Math.max(1, Math.ceil((model.layerCount - tail) / form.layersPerSegment));
  // what waits elsewhere is in memory again while its layer runs
  const kept = { memory: layers, bfloat16: layers / 2 + 1, disk: 1 }[form.keptIn ?? 'memory'] * border;
  const products = (form.keptLayers ?? 0) * keptPerToken * batch.tokens;
  const parts = Math.ceil(batch.tokens / (form.tokensAtOnce ?? batch.tokens));
  const bindings = bindingsOf(model, batch);
  return segments!.flatMap(({ graphs, kind, between }) =>
    graphs.map((outputs): PlannedRun => {
      // the gradients at both ends, and one result in a program and out of it
      const shared = { outputs, held: kept + products + meanGarbage + 3 * border + masks / layers };
      switch (kind) {
        case 'segment':
          return { ...shared, bindings };
        case 'tail': {
          // dropout masks and results of all its layers
          const share = tail / model.layerCount;
          return { ...shared, held: shared.held + share * (masks + gradients), bindings };
        }
        case 'mixing':
          return { ...shared, held: shared.held - border + between * batch.tokens, bindings };
        case 'head stretch':
          return { ...shared, bindings: { ...bindings, R: Math.min(bindings['R']!, headRows(outputs, form)) } };
        case 'stage': {
          const tokens = Math.ceil(batch.tokens / parts);
          return {
            outputs,
            held: shared.held - border + between * batch.tokens,
            bindings: { ...bindings, N: tokens },
          };
        }
      }
    }),
  );
}

/** Labelled rows that a stretch of the head takes at a time. */
function headRows(outputs: Outputs, { tokensAtOnce }: SegmentedForm): number {
  const columns = g
    .reachableNodes(Object.values(outputs))
    .find((node) => node.op === 'input' && (node as g.Node<'input'>).attributes.name === headNames.columns);
  return headRowsAtOnce(Number(columns?.shape[1] ?? 1), tokensAtOnce);
}

function bindingsOf(model: Model, batch: BatchSize): g.Bindings {
  const perGroup = model.headCount / model.kvHeadCount;
  return {
    N: batch.tokens,
    B: batch.rows,
    T: batch.longest,
    S: batch.rows * batch.longest,
    R: Math.max(1, batch.labelled),
    GT: perGroup * batch.longest,
    NK: batch.tokens * (model.expertsPerToken ?? 1),
  };
}

/**
 * What a whole step in integers needs beside its tensors. With two bytes a value, what the first one leaves and two products
 * come and go between tensors that stay, and leave holes: so much of the activations (measured, NOTES.md). And weights are
 * packed for each of their products in f32: those of a table that both directions read stand there twice.
 */
function integerBytes(outputs: Outputs, bindings: g.Bindings): number {
  const results = Object.values(outputs);
  const nodes = g.reachableNodes(results);
  const integers = nodes.filter((node): node is g.Node<'integerMatmul'> => node.op === 'integerMatmul');
  if (integers.length === 0) return 0;
  const holes = integers.some(({ attributes }) => attributes.layout.integer.terms === 2) ? 0.15 : 0;
  const seen = new Set<g.Node>();
  let packedAgain = 0;
  for (const { op, inputs } of nodes) {
    const table = op === 'matmul' ? inputs[1]! : undefined;
    const weight = table?.op === 'cast' ? table.inputs[0]! : table;
    if (weight?.op !== 'weight' || weight.dtype !== 'float32') continue;
    if (seen.has(weight)) packedAgain += g.tensorBytes(weight, {});
    seen.add(weight);
  }
  return holes * g.peakBytes(results, bindings) + packedAgain;
}
