/** One optimiser step: an accumulation window forward and backward, normalised by its trained tokens, clipped, applied. */
import { setImmediate as turn } from 'node:timers/promises';
import { RunError } from '../errors.ts';
import { clipFactor, globalGradientNorm, type Optimizer } from '../optim/index.ts';
import type { BatchSource } from './batch-source.ts';
import type { TrainEngine } from './engine.ts';

/** Where a step stands in the run. */
export interface StepPosition {
  readonly step: number;
  readonly epoch: number;
  readonly batchIndex: number;
}

/** What a step measured. */
export interface StepResult {
  /** Mean cross-entropy over the window's trained tokens, before the update. */
  readonly loss: number;
  /** Global L2 norm of that mean's gradient, before clipping. */
  readonly gradientNorm: number;
  /** Micro-batches of the window: fewer at the end of an epoch. */
  readonly batches: number;
  readonly samples: number;
  readonly tokens: number;
}

/** What a step needs besides its position. */
export interface StepContext {
  readonly engine: TrainEngine;
  readonly optimizer: Optimizer;
  readonly batches: BatchSource;
  readonly accumulation: number;
  readonly seed: number;
  readonly maxGradNorm: number;
  /** Path of the last checkpoint, for the error that names it. */
  readonly lastCheckpoint: () => string | null;
  /** Called with the part of the step that is done, 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
}

/**
 * Takes one step; the parameters are written last, so that an error leaves them as they were.
 * @throws RunError `loss-not-finite` with the rows of the batch.
 */
export async function trainStep(
  context: StepContext,
  position: StepPosition,
  learningRate: number,
): Promise<StepResult> {
  const { engine, optimizer, batches, accumulation, seed, maxGradNorm, lastCheckpoint, onProgress } = context;
  const { step, epoch, batchIndex } = position;
  const end = Math.min(batchIndex + accumulation, batches.batchesPerEpoch);
  for (const { gradient } of engine.parameters) gradient.fill(0);
  let lossSum = 0;
  let weightSum = 0;
  let samples = 0;
  let tokens = 0;
  const rows = new Set<number>();
  const notFinite = (what: 'loss' | 'gradient norm', value: number, concerned: Iterable<number>) =>
    new RunError('loss-not-finite', {
      what,
      value: String(value),
      step: step + 1,
      rows: [...new Set(concerned)].sort((a, b) => a - b),
      checkpoint: lastCheckpoint(),
    });
  for (let index = batchIndex; index < end; index++) {
    const batch = await batches.batch(epoch, index);
    const microBatch = index - batchIndex;
    const sums = await engine.accumulate(batch.sequences, { seed, step, microBatch }, (fraction) =>
      onProgress?.((microBatch + fraction) / (end - batchIndex)),
    );
    const batchRows = batch.sequences.map(({ row }) => row);
    if (!Number.isFinite(sums.lossSum)) throw notFinite('loss', sums.lossSum, batchRows);
    lossSum += sums.lossSum;
    weightSum += sums.weightSum;
    samples += batch.samples;
    for (const sequence of batch.sequences) tokens += sequence.inputIds.length;
    for (const row of batchRows) rows.add(row);
    // Signals are only heard between the turns of the event loop.
    await turn();
  }
  // A window whose weights are all 0 has nothing to say: its gradients are 0 too.
  const perToken = weightSum === 0 ? 0 : 1 / weightSum;
  const gradientNorm = globalGradientNorm(engine.parameters) * perToken;
  if (!Number.isFinite(gradientNorm)) throw notFinite('gradient norm', gradientNorm, rows);
  optimizer.step(learningRate, perToken * clipFactor(gradientNorm, maxGradNorm));
  return { loss: lossSum * perToken, gradientNorm, batches: end - batchIndex, samples, tokens };
}
