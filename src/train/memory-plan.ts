/** What a training run will need of the memory, before it starts. */
import * as g from '../graph/index.ts';
import type { Model } from '../models/index.ts';
import { mappedFromBytes } from '../run/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { lossForm } from './loss-graph.ts';
import type { PlanForm } from './plan-form.ts';
import { graphsOf, type WholeGraphs } from './planned-graphs.ts';
import { PlannedStep, sizedProgram, touchedWeights } from './planned-step.ts';
import type { Outputs } from './segments.ts';

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
  /** Where samples hold several rows each: how many samples these are, and the rows of the one that has most. */
  readonly packs?: { readonly count: number; readonly mostRows: number };
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

/** Node, onnxruntime and the program itself, and for each node that onnxruntime holds of the largest program; measured (NOTES.md). */
const processBytes = 135e6;
const nodeBytes = 6e3;
/** Steps until memory hardly grows any more: what the first one leaves lies in the way of the second. */
const plannedSteps = 2;

/** Memory of steps under a plan. */
export function memoryOf(
  model: Model,
  method: TuningMethod,
  batch: BatchSize,
  optimizerBytesPerValue: number,
  form: PlanForm,
): MemoryPlan {
  const graphs = graphsOf(model, method, form, lossForm(model, 'cpu', batch.longest, batch.meanTokens ?? batch.tokens));
  const heap = new g.Heap(mappedFromBytes);
  let trained = 0;
  let optimizer = 0;
  for (const { shape } of method.trainables) {
    const values = g.elementCount(shape);
    for (const bytes of [values * 4, values * 4, values * optimizerBytesPerValue]) heap.take(bytes);
    trained += values * 8;
    optimizer += values * optimizerBytesPerValue;
  }
  const masks = method.dropoutSites.reduce(
    (sum, { width, rowsPerToken }) => sum + width * rowsPerToken * batch.tokens,
    0,
  );
  const { evaluation } = batch;
  if (graphs.kind === 'whole') {
    const mapsWeights = playWhole(heap, graphs, bindingsOf(model, batch), masks);
    if (evaluation) g.runOn(heap, sizedProgram(graphs.loss(), bindingsOf(model, evaluation), mapsWeights).run);
  } else if (form.kind === 'segmented') {
    const stepOf = (size: BatchSize, how: typeof form, ownMasks: number): PlannedStep =>
      new PlannedStep(heap, graphs, {
        form: how,
        bindings: bindingsOf(model, size),
        batch: size,
        hiddenSize: model.hiddenSize,
        masks: ownMasks / Math.max(1, model.layerCount / form.layersPerSegment),
      });
    const step = stepOf(batch, form, masks);
    for (let i = 0; i < plannedSteps; i++) step.step();
    if (evaluation) stepOf(evaluation, form, 0).loss();
  }
  const weights = heap.filesAtPeak;
  const activations = Math.max(0, heap.peak - weights - trained - optimizer);
  return {
    form,
    weights,
    trained,
    optimizer,
    activations,
    peak: processBytes + graphs.nodeCount * nodeBytes + weights + trained + optimizer + activations,
  };
}

/**
 * Whole steps; the program stays, with its weights.
 * @returns whether weights are mapped as they are stored; else it holds them in the layout of its kernels
 */
function playWhole(heap: g.Heap, { step }: WholeGraphs, bindings: g.Bindings, masks: number): boolean {
  const mapsWeights = !packWeights(heap, step, bindings);
  const { run, mapped } = sizedProgram(step, bindings, mapsWeights);
  for (let i = 0; i < plannedSteps; i++) {
    if (i > 0) heap.map(-mapped);
    const own = masks > 0 ? heap.take(masks) : undefined;
    for (const block of g.runOn(heap, run)) heap.give(block);
    if (own) heap.give(own);
  }
  return mapsWeights;
}

/**
 * A whole step in integers packs its weights when it is made, once for each product that reads them; a table that is looked up
 * too stays mapped beside that, and was read as a whole.
 * @returns whether it does
 */
function packWeights(heap: g.Heap, outputs: Outputs, bindings: g.Bindings): boolean {
  const nodes = g.reachableNodes(Object.values(outputs));
  if (!nodes.some(({ op }) => op === 'integerMatmul')) return false;
  const touched = touchedWeights(outputs, bindings);
  const stored = new Map<string, { bytes: number; copies: number; lookedUp: number }>();
  for (const [weight, using] of g.usersOf(nodes)) {
    if (weight.op !== 'weight') continue;
    const { name } = (weight as g.Node<'weight'>).attributes;
    const own = stored.get(name) ?? { bytes: g.tensorBytes(weight, {}), copies: 0, lookedUp: 0 };
    const products = using.filter(({ op }) => op !== 'gather').length;
    own.copies += products;
    if (products < using.length) own.lookedUp += touched.get(weight)!;
    stored.set(name, own);
  }
  for (const { bytes, copies, lookedUp } of stored.values()) {
    for (let i = 0; i < copies; i++) heap.take(bytes);
    if (lookedUp > 0) heap.map(copies > 0 ? bytes : lookedUp);
  }
  return true;
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
