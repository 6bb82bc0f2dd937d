/** What a training run will need of the memory, before it starts, and which step plan that allows. */
import * as g from '../graph/index.ts';
import type { Model } from '../models/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { segmentBodies, segmentOf } from './segments.ts';
import { takesReadWeights } from './shared-program.ts';
import { wholeOutputs } from './whole-plan.ts';

/** The largest micro-batch of a run: rows B of at most T tokens, N tokens in all, R of them trained. */
export interface BatchSize {
  readonly rows: number;
  readonly longest: number;
  readonly tokens: number;
  readonly labelled: number;
}

/** Bytes by what they are for. `peak` is the expected VmHWM of the trainer. */
export interface MemoryPlan {
  readonly plan: 'whole' | 'segmented';
  readonly layersPerSegment: number;
  /** Frozen weights, mapped from their files. */
  readonly weights: number;
  /** Tensors that move, and their gradients. */
  readonly trained: number;
  readonly optimizer: number;
  readonly activations: number;
  readonly peak: number;
}

/** Node, onnxruntime and the program itself, measured at the start of a run (NOTES.md). */
const processBytes = 240e6;
/** Weights as the programs see them: a session keeps small ones in memory of its own, large ones stay mapped. */
const programOverhead = 1.05;

/** Memory of one step under a plan. */
export function memoryOf(
  model: Model,
  method: TuningMethod,
  batch: BatchSize,
  optimizerBytesPerValue: number,
  plan: { readonly kind: 'whole' } | { readonly kind: 'segmented'; readonly layersPerSegment: number },
): MemoryPlan {
  const bindings = bindingsOf(model, batch);
  const values = method.trainables.reduce((sum, { shape }) => sum + g.elementCount(shape), 0);
  const trained = values * 8;
  const optimizer = values * optimizerBytesPerValue;
  const masks = method.dropoutSites.reduce(
    (sum, { width, rowsPerToken }) => sum + width * rowsPerToken * batch.tokens,
    0,
  );
  let weights: number;
  let activations: number;
  if (plan.kind === 'whole') {
    const outputs = Object.values(wholeOutputs(model, method));
    weights = g.weightBytes(outputs);
    // results are copied once more on their way into JavaScript
    activations = g.peakBytes(outputs, bindings) + values * 4 + masks;
  } else {
    const bodies = segmentBodies(model, method, plan.layersPerSegment);
    const segments = bodies.map((body, i) => segmentOf(body, i === bodies.length - 1, method));
    const graphs = segments.flatMap(({ forward, backward }) =>
      [forward, backward].filter((graph) => graph !== undefined),
    );
    weights = Math.max(...graphs.map((graph) => g.weightBytes(Object.values(graph))));
    const border = batch.tokens * model.hiddenSize * 4;
    // the shared programs of both directions hold one segment's weights each
    const middle = Object.values(segments[1]?.backward ?? segments[1]?.forward ?? {});
    const read = takesReadWeights(middle) ? 2 * g.weightBytes(middle) : 0;
    activations =
      read +
      Math.max(...graphs.map((graph) => g.peakBytes(Object.values(graph), bindings))) +
      border * (segments.length + 1) +
      masks / Math.max(1, segments.length - 2);
  }
  const peak = processBytes + weights * programOverhead + trained + optimizer + activations;
  return {
    plan: plan.kind,
    layersPerSegment: plan.kind === 'whole' ? model.layerCount : plan.layersPerSegment,
    weights,
    trained,
    optimizer,
    activations,
    peak,
  };
}

/**
 * The fastest plan that stays below `limit` bytes: whole, else a segment per layer, which is also the answer if nothing does.
 * @param wanted the setting `gradient_checkpointing`; undefined leaves the choice here.
 */
export function choosePlan(
  model: Model,
  method: TuningMethod,
  batch: BatchSize,
  optimizerBytesPerValue: number,
  limit: number,
  wanted: boolean | undefined,
): MemoryPlan {
  const of = (plan: Parameters<typeof memoryOf>[4]): MemoryPlan =>
    memoryOf(model, method, batch, optimizerBytesPerValue, plan);
  if (wanted !== true) {
    const whole = of({ kind: 'whole' });
    if (wanted === false || whole.peak <= limit) return whole;
  }
  // equal layers share a program, so that larger segments gain nothing (NOTES.md)
  return of({ kind: 'segmented', layersPerSegment: 1 });
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
