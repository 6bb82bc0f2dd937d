/** The loss over the whole evaluation set. */
import { setImmediate as turn } from 'node:timers/promises';
import type { TrainBatch } from './batch-source.ts';
import type { TrainEngine } from './engine.ts';
import type { HistoryEntry } from './state.ts';

/** Result of an evaluation. */
export interface Evaluation {
  /** Sum of the cross-entropies over the whole set divided by its trained tokens. */
  readonly loss: number;
  readonly seconds: number;
  readonly samples: number;
  readonly batches: number;
}

/**
 * Evaluates without dropout. Undefined where `isCancelled` said so between two batches.
 * @param now a clock in milliseconds
 */
export async function evaluate(
  engine: TrainEngine,
  batches: readonly TrainBatch[],
  now: () => number,
  isCancelled: () => boolean = () => false,
): Promise<Evaluation | undefined> {
  const start = now();
  let lossSum = 0;
  let weightSum = 0;
  let samples = 0;
  for (const batch of batches) {
    // Signals and messages are only heard between the turns of the event loop.
    await turn();
    if (isCancelled()) return undefined;
    const sums = await engine.evaluate(batch.sequences);
    lossSum += sums.lossSum;
    weightSum += sums.weightSum;
    samples += batch.samples;
  }
  return {
    loss: weightSum === 0 ? 0 : lossSum / weightSum,
    seconds: (now() - start) / 1000,
    samples,
    batches: batches.length,
  };
}

/** An evaluation as an entry of the history. */
export function evaluationEntry(evaluation: Evaluation, step: number, epoch: number): HistoryEntry {
  const seconds = Math.max(evaluation.seconds, 1e-9);
  return {
    step,
    epoch,
    eval_loss: evaluation.loss,
    eval_runtime: evaluation.seconds,
    eval_samples_per_second: evaluation.samples / seconds,
    eval_steps_per_second: evaluation.batches / seconds,
  };
}
