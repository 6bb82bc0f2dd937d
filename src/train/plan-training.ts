/** `fettle plan`: what a run will need of memory and time, before it starts. Training prints and obeys the same plan. */
import { keepPlannedData, type Notice, openTextTools, prepareTrainingData, withModelLength } from '../data/index.ts';
import type { FettleConfig } from '../config/index.ts';
import type { RemoteFiles } from '../formats/index.ts';
import {
  createEngine,
  fitSettings,
  fittingPlan,
  type IsGiven,
  memoryLimit,
  planMemory,
  prepareTuning,
} from './create-engine.ts';
import type { TrainBatch } from './batch-source.ts';
import type { BatchSize, MemoryPlan } from './memory-plan.ts';
import { describeForm, type FormDescription } from './plan-form.ts';
import { largestTrainBatch, plannedBatch } from './trainer-tools.ts';
import { fullBatch, largestBatchThatFits, longestThatFits } from './what-fits.ts';

/** The plan of a run, with the names of `plan --json` (contract, article 35). */
export interface TrainingPlan extends FormDescription {
  readonly weights_bytes: number;
  readonly trained_bytes: number;
  readonly optimizer_bytes: number;
  readonly activation_bytes: number;
  /** Expected peak of the trainer process. */
  readonly peak_memory_bytes: number;
  /** What the run may use: memory_limit, else the free memory. */
  readonly memory_limit_bytes: number;
  readonly fits: boolean;
  readonly trained_parameters: number;
  /** Samples and tokens of the largest micro-batch. */
  readonly batch_rows: number;
  readonly batch_tokens: number;
  /** Longest cutoff_len that fits with the batch size of the config, every row that long; 0 where none fits. */
  readonly longest_cutoff_len: number;
  /** Largest per_device_train_batch_size that fits with rows of cutoff_len tokens; 0 where none fits. */
  readonly largest_batch: number;
  /** Seconds of one optimiser step, measured on the largest micro-batch; null where it was not asked for. */
  readonly seconds_per_step: number | null;
}

/** How a plan is made. */
export interface PlanOptions {
  /** Runs three steps of the largest micro-batch after one to warm up. Needs a data set. */
  readonly timed?: boolean;
  readonly isGiven?: IsGiven;
  /** Files of the base's weights that are not on this machine; not with `timed`. */
  readonly remote?: RemoteFiles;
  /** Leaves the tokenised rows for the training that follows. */
  readonly keepsData?: boolean;
  readonly onNotice?: (text: string) => void;
}

const TIMED_STEPS = 3;

/** Rows of the data set where one is named, else full rows of cutoff_len tokens. */
async function readBatch(
  config: FettleConfig,
  options: PlanOptions,
): Promise<{ readonly size: BatchSize; readonly trainedShare: number; readonly batch: TrainBatch | undefined }> {
  if (config.dataset.length === 0) {
    return {
      size: fullBatch(config.per_device_train_batch_size, config.cutoff_len, 1),
      trainedShare: 1,
      batch: undefined,
    };
  }
  const text = await openTextTools(config);
  const read = (settings: FettleConfig) => prepareTrainingData(settings, text.encoder);
  const data = await (options.keepsData === true ? keepPlannedData(config, text.encoder, read) : read(config));
  const { train, notices } = data;
  for (const notice of new Set(notices.map((item) => item.text))) options.onNotice?.(notice);
  return {
    size: plannedBatch(data, config),
    trainedShare: train.tokens === 0 ? 1 : train.trainedTokens / train.tokens,
    batch: largestTrainBatch(train, config.per_device_train_batch_size),
  };
}

/** What a plan goes by: the config with the model's length, the model with its tuning, and the largest micro-batch. */
interface PlanInputs extends Awaited<ReturnType<typeof readBatch>> {
  readonly config: FettleConfig;
  readonly setup: Awaited<ReturnType<typeof prepareTuning>>;
}

async function readInputs(asked: FettleConfig, options: PlanOptions): Promise<PlanInputs> {
  const notices: Notice[] = [];
  const config = await withModelLength(asked, options.isGiven?.('cutoff_len') ?? false, notices);
  for (const { text } of notices) options.onNotice?.(text);
  const setup = await prepareTuning(config, options.isGiven ?? (() => false), options.remote);
  return { config, setup, ...(await readBatch(config, options)) };
}

/**
 * Refuses a run that cannot fit, with the plan that training makes itself.
 * @throws ConfigError `memory-too-small`, and what the data and the model are refused for.
 */
export async function requireFit(asked: FettleConfig, options: Omit<PlanOptions, 'timed'> = {}): Promise<void> {
  const { config, setup, size } = await readInputs(asked, options);
  fittingPlan(config, setup, size);
}

/** Plans a run. Reads the weights' headers, and the data where a data set is named; computes only where `timed` asks. */
export async function planTraining(asked: FettleConfig, options: PlanOptions = {}): Promise<TrainingPlan> {
  const { config, setup, size, trainedShare, batch } = await readInputs(asked, options);
  const memory: MemoryPlan = planMemory(config, setup, size);
  const limit = memoryLimit(config);
  const settings = fitSettings(config, setup, trainedShare, size);
  const rows = config.per_device_train_batch_size;
  const timed = options.timed === true && batch !== undefined && memory.peak <= limit;
  return {
    weights_bytes: memory.weights,
    trained_bytes: memory.trained,
    optimizer_bytes: memory.optimizer,
    activation_bytes: Math.round(memory.activations),
    peak_memory_bytes: Math.round(memory.peak),
    memory_limit_bytes: limit,
    fits: memory.peak <= limit,
    ...describeForm(memory.form),
    trained_parameters: setup.method.trainables.reduce(
      (sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1),
      0,
    ),
    batch_rows: size.rows,
    batch_tokens: size.tokens,
    longest_cutoff_len: longestThatFits(settings, rows, setup.folder.model.maxPositions),
    largest_batch: largestBatchThatFits(settings, config.cutoff_len),
    seconds_per_step: timed ? await timeSteps(config, setup, size, batch) : null,
  };
}

/** Median of three passes over the largest micro-batch, times the passes of a step. */
async function timeSteps(
  config: FettleConfig,
  setup: Awaited<ReturnType<typeof prepareTuning>>,
  size: BatchSize,
  batch: TrainBatch,
): Promise<number> {
  const { engine } = await createEngine(config, setup, size);
  try {
    const seconds: number[] = [];
    for (let step = 0; step <= TIMED_STEPS; step++) {
      const start = performance.now();
      await engine.accumulate(batch.sequences, { seed: config.seed, step, microBatch: 0 });
      seconds.push((performance.now() - start) / 1000);
    }
    // The first pass also maps the weights and fills caches.
    const median = seconds.slice(1).sort((a, b) => a - b)[Math.floor(TIMED_STEPS / 2)]!;
    return median * config.gradient_accumulation_steps;
  } finally {
    await engine.release();
  }
}
