/** What a training run will need of the memory, before it starts. */
import * as g from '../graph/index.ts';
import type { Model } from '../models/index.ts';
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
/** Blocks from this size on may be mapped by themselves (run/spawn). */
const mapFrom = 32 << 20;
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
  const heap = new g.Heap(mapFrom);
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
    const packed = playWhole(heap, graphs, bindingsOf(model, batch), masks);
    if (evaluation) g.runOn(heap, sizedProgram(graphs.loss(), bindingsOf(model, evaluation), packed === 0).run);
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
 * @returns bytes of weights that it holds in the layout of its kernels, and not as they are stored
 */
function playWhole(heap: g.Heap, { step }: WholeGraphs, bindings: g.Bindings, masks: number): number {
  const packed = packedWeights(step, bindings);
  let sum = 0;
  for (const bytes of packed) {
    heap.take(bytes);
    sum += bytes;
  }
  const { run, mapped } = sizedProgram(step, bindings, sum === 0);
  for (let i = 0; i < plannedSteps; i++) {
    if (i > 0) heap.map(-mapped);
    const own = masks > 0 ? heap.take(masks) : undefined;
    for (const block of g.runOn(heap, run)) heap.give(block);
    if (own) heap.give(own);
  }
  return sum;
}

/**
 * A whole step in integers packs its weights when it is made, and what is looked up in one stays mapped beside it.
 */
function packedWeights(outputs: Outputs, bindings: g.Bindings): number[] {
  const nodes = g.reachableNodes(Object.values(outputs));
  if (!nodes.some(({ op }) => op === 'integerMatmul')) return [];
  const packed = [...touchedWeights(outputs, bindings).values()];
  const seen = new Set<g.Node>();
  for (const { op, inputs } of nodes) {
    const table = op === 'matmul' ? inputs[1]! : undefined;
    const weight = table?.op === 'cast' ? table.inputs[0]! : table;
    if (weight?.op !== 'weight' || weight.dtype !== 'float32') continue;
    if (seen.has(weight)) packed.push(g.tensorBytes(weight, {}));
    seen.add(weight);
  }
  return packed;
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
