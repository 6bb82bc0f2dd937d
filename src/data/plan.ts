/** The numbers of a run before it starts. They are read off the very samples that training uses, so they are equal. Knows no `node:` module. */
import { batchCount } from './batches.ts';
import type { SampleSet } from './sample-set.ts';
import type { DataSettings } from './settings.ts';

/** What `data plan --json` prints (contract 32) and `train_results.json` repeats. */
export interface DataPlan {
  /** Rows of `dataset` that were looked at. */
  readonly rows_read: number;
  /** Rows that are used: those read less those dropped. */
  readonly rows_valid: number;
  /** Dropped rows by rule; rules that dropped none are left out. */
  readonly rows_dropped: Readonly<Record<string, number>>;
  /** Rows that were shortened or cut apart. */
  readonly rows_truncated: number;
  /** Samples of one epoch: what batches are made of. */
  readonly sequences: number;
  /** Tokens of one epoch of the training part, without padding. */
  readonly tokens: number;
  /** Tokens with a label of one epoch of the training part. */
  readonly trained_tokens: number;
  readonly steps_per_epoch: number;
  readonly total_steps: number;
}

/** Counts of the rows of a set. */
export interface RowCounts {
  readonly read: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly truncated: number;
}

type StepSettings = Pick<
  DataSettings,
  'per_device_train_batch_size' | 'gradient_accumulation_steps' | 'num_train_epochs' | 'max_steps'
>;

/** Optimiser steps of an epoch; a short last window is a step of its own. */
export function stepsPerEpoch(samples: number, settings: StepSettings): number {
  return Math.ceil(batchCount(samples, settings.per_device_train_batch_size) / settings.gradient_accumulation_steps);
}

/** Optimiser steps of a run. */
export function totalSteps(samples: number, settings: StepSettings): number {
  return settings.max_steps > 0
    ? settings.max_steps
    : Math.ceil(settings.num_train_epochs * stepsPerEpoch(samples, settings));
}

/** The plan of a prepared training set. */
export function makePlan(counts: RowCounts, train: SampleSet, settings: StepSettings): DataPlan {
  const dropped = Object.values(counts.dropped).reduce((sum, amount) => sum + amount, 0);
  return {
    rows_read: counts.read,
    rows_valid: counts.read - dropped,
    rows_dropped: counts.dropped,
    rows_truncated: counts.truncated,
    sequences: train.size,
    tokens: train.tokens,
    trained_tokens: train.trainedTokens,
    steps_per_epoch: stepsPerEpoch(train.size, settings),
    total_steps: totalSteps(train.size, settings),
  };
}
