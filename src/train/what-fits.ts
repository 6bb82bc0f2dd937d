/** The longest rows and the largest batches that a memory limit allows, by the same plan that training obeys. */
import type { Model } from '../models/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { choosePlan } from './choose-plan.ts';
import type { BatchSize } from './memory-plan.ts';

/** No batch is larger; the search for the largest one ends here. */
const maxBatch = 65_536;

/** What a search holds fixed. */
export interface FitSettings {
  readonly model: Model;
  readonly method: TuningMethod;
  readonly optimizerBytesPerValue: number;
  /** Bytes. */
  readonly limit: number;
  /** The setting `gradient_checkpointing`. */
  readonly wanted: boolean | undefined;
  /** Part of the tokens that is trained, 0 to 1. */
  readonly trainedShare: number;
  /** The largest micro-batch of the data: where its samples hold several rows, larger and smaller ones are taken to be like it. */
  readonly batch?: BatchSize | undefined;
}

/** The largest whole number from 1 to `limit` for which `fits` holds, 0 where it does not hold for 1. */
function largestThat(fits: (value: number) => boolean, limit: number): number {
  let low = 0;
  let high = 1;
  while (high <= limit && fits(high)) {
    low = high;
    high *= 2;
  }
  high = Math.min(high, limit + 1);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** Sizes of a batch of full rows with a share of trained tokens. */
export function fullBatch(rows: number, longest: number, trainedShare: number): BatchSize {
  const tokens = rows * longest;
  return { rows, longest, tokens, labelled: Math.ceil(tokens * trainedShare) };
}

/** Sizes of so many samples of `length` tokens: each one row, or packed as those of the data are; evaluated on as the data is. */
function batchOf({ trainedShare, batch }: FitSettings, samples: number, length: number): BatchSize {
  const plain = fullBatch(samples, length, trainedShare);
  if (!batch) return plain;
  const { evaluation, meanTokens } = batch;
  const full = {
    ...plain,
    ...(meanTokens === undefined ? {} : { meanTokens: plain.tokens * (meanTokens / batch.tokens) }),
    evaluation: evaluation && length < batch.longest ? shortened(evaluation, length) : evaluation,
  };
  if (!batch.packs) return full;
  const { count, mostRows } = batch.packs;
  // fewer packs than `batch` may be those that hold most rows; more cannot hold more each than these
  const rows = samples < count ? Math.min(batch.rows, samples * mostRows) : (batch.rows * samples) / count;
  const filled = length / (batch.tokens / count);
  return { ...full, rows: Math.max(samples, Math.ceil(rows * filled)), longest: Math.min(length, batch.longest) };
}

/** A batch whose rows are cut to `length` tokens. */
function shortened(batch: BatchSize, length: number): BatchSize {
  const longest = Math.min(batch.longest, length);
  const tokens = Math.min(batch.tokens, batch.rows * longest);
  return { ...batch, longest, tokens, labelled: Math.min(batch.labelled, tokens) };
}

function fits(settings: FitSettings, samples: number, length: number): boolean {
  const { model, method, optimizerBytesPerValue, limit, wanted } = settings;
  const batch = batchOf(settings, samples, length);
  return choosePlan(model, method, batch, optimizerBytesPerValue, limit, wanted).peak <= limit;
}

/** The longest cutoff_len, up to `most`, that fits with `samples` samples that long; 0 where none does. */
export function longestThatFits(settings: FitSettings, samples: number, most: number): number {
  return largestThat((length) => fits(settings, samples, length), most);
}

/** The largest batch of samples of `length` tokens that fits; 0 where none does. */
export function largestBatchThatFits(settings: FitSettings, length: number, most = maxBatch): number {
  return largestThat((samples) => fits(settings, samples, length), most);
}
