/** The trainer's own tools: data from the data room, model and engine from a Hugging Face folder and its adapters. */
import { join } from 'node:path';
import {
  batchCount,
  type Notice,
  openTextTools,
  planBatches,
  prepareTrainingData,
  requireModelTemplate,
  type SampleSet,
  type Sequence,
  type TrainingData,
  withInputProblems,
  withModelLength,
  withPlannedData,
} from '../data/index.ts';
import { adapterConfigName, adapterWeightsName } from '../formats/index.ts';
import type { FettleConfig } from '../config/index.ts';
import { decaysInFullTuning } from '../optim/index.ts';
import type { BatchSource, TrainBatch } from './batch-source.ts';
import { tellCodes } from './codes-progress.ts';
import { prepareTuning, type TuningSetup } from './create-engine.ts';
import { arithmeticEntries, createMeasuredEngine } from './integer-arithmetic.ts';
import type { TrainerBase, TrainerData, TrainerTools } from './job.ts';
import type { BatchSize } from './memory-plan.ts';
import { describeForm } from './plan-form.ts';

/** The base of a run: its files, and the model with its tuning method. */
export interface ModelBase extends TrainerBase {
  readonly setup: TuningSetup;
}

/** Data of a run with the largest micro-batch that it will give. */
export interface SizedData extends TrainerData {
  readonly largest: BatchSize;
}

function batchOf(samples: SampleSet, indices: Iterable<number>): TrainBatch {
  const sequences: Sequence[] = [];
  let count = 0;
  for (const index of indices) {
    sequences.push(...samples.sample(index));
    count++;
  }
  return { sequences, samples: count };
}

/** Batches of an evaluation: consecutive samples. */
function evaluationBatches(data: TrainingData, batchSize: number): readonly TrainBatch[] {
  return data.evaluation.flatMap(({ samples }) =>
    Array.from({ length: batchCount(samples.size, batchSize) }, (_, batch) => {
      const first = batch * batchSize;
      const length = Math.min(batchSize, samples.size - first);
      return batchOf(
        samples,
        Array.from({ length }, (_, index) => first + index),
      );
    }),
  );
}

/** Micro-batches of the training part. The order of an epoch is made once for all its batches. */
function trainingBatches(config: FettleConfig, train: SampleSet): Pick<BatchSource, 'batchesPerEpoch' | 'batch'> {
  const settings = {
    batchSize: config.per_device_train_batch_size,
    groupByLength: config.group_by_length,
    disableShuffling: config.disable_shuffling,
    seed: config.data_seed,
  };
  let planned: { readonly epoch: number; readonly batches: readonly Uint32Array[] } | undefined;
  return {
    batchesPerEpoch: batchCount(train.size, settings.batchSize),
    batch(epoch, index) {
      if (planned?.epoch !== epoch) planned = { epoch, batches: planBatches(train.lengths, settings, epoch) };
      return batchOf(train, planned.batches[index]!);
    },
  };
}

/** A bound of every micro-batch: as many of the longest samples, and of those with most labels, as a batch has. */
export function largestBatch(train: SampleSet, batchSize: number): BatchSize {
  const labelled = new Uint32Array(train.size);
  const rows = new Uint32Array(train.size);
  let longest = 0;
  for (let index = 0; index < train.size; index++) {
    for (const { inputIds, labels } of train.sample(index)) {
      rows[index]!++;
      longest = Math.max(longest, inputIds.length);
      for (const label of labels) if (label >= 0) labelled[index]!++;
    }
  }
  const most = (counts: Uint32Array): number =>
    counts
      .slice()
      .sort()
      .subarray(-batchSize)
      .reduce((sum, count) => sum + count, 0);
  const tokens = train.lengths.reduce((sum, length) => sum + length, 0);
  const meanTokens = Math.round((tokens / Math.max(1, train.size)) * Math.min(batchSize, train.size));
  const mostRows = rows.reduce((highest, count) => Math.max(highest, count), 0);
  return {
    rows: most(rows),
    longest,
    tokens: most(train.lengths),
    labelled: most(labelled),
    meanTokens,
    ...(mostRows > 1 ? { packs: { count: Math.min(batchSize, train.size), mostRows } } : {}),
  };
}

/** An evaluation takes at least so many tokens at a time where it has them: fewer would not fill the products. */
const leastEvaluated = 1024;

/**
 * The largest micro-batch of a run, with that of its evaluation, which takes no more tokens at a time than training does, but
 * for longer samples.
 */
export function plannedBatch(
  { train, evaluation }: Pick<TrainingData, 'train' | 'evaluation'>,
  config: Pick<FettleConfig, 'per_device_train_batch_size' | 'per_device_eval_batch_size'>,
): BatchSize {
  const sizes = evaluation.map(({ samples }) => largestBatch(samples, config.per_device_eval_batch_size));
  if (train.size === 0) return sizes.reduce(larger, emptyBatch);
  const trained = largestBatch(train, config.per_device_train_batch_size);
  if (sizes.length === 0) return trained;
  const { rows, longest, tokens, labelled } = sizes.reduce(larger);
  const most = Math.min(tokens, Math.max(trained.tokens, longest, leastEvaluated));
  return { ...trained, evaluation: { rows, longest, tokens: most, labelled: Math.min(labelled, most) } };
}

const emptyBatch: BatchSize = { rows: 0, longest: 0, tokens: 0, labelled: 0 };

function larger(a: BatchSize, b: BatchSize): BatchSize {
  return {
    rows: Math.max(a.rows, b.rows),
    longest: Math.max(a.longest, b.longest),
    tokens: Math.max(a.tokens, b.tokens),
    labelled: Math.max(a.labelled, b.labelled),
  };
}

/** The micro-batch of the longest samples. */
export function largestTrainBatch(train: SampleSet, batchSize: number): TrainBatch {
  const longestFirst = [...train.lengths.keys()].sort((a, b) => train.lengths[b]! - train.lengths[a]!);
  return batchOf(train, longestFirst.slice(0, batchSize));
}

/** The files that decide what a run starts from. */
function baseFiles(config: FettleConfig, setup: TuningSetup): TrainerBase['files'] {
  const { folder, checkpoint } = setup.folder;
  const weights = [...new Set([...checkpoint.tensors.values()].map(({ file }) => file))].sort();
  return [
    { name: 'config.json', path: join(folder, 'config.json') },
    ...weights.map((path, index) => ({ name: `weights ${index}`, path })),
    ...config.adapter_name_or_path.flatMap((adapter, index) =>
      [adapterConfigName, adapterWeightsName].map((name) => ({
        name: `adapter ${index} ${name}`,
        path: join(adapter, name),
      })),
    ),
  ];
}

/** The tools that the trainer process works with. */
export function trainerTools(): TrainerTools<ModelBase> {
  return {
    async openBase({ config, isGiven, say }) {
      const prepared = await withInputProblems(config, () => prepareTuning(config, isGiven));
      const setup = { ...prepared, onCodes: tellCodes(say) };
      return { setup, files: baseFiles(config, setup) };
    },

    async prepareData({ config: asked, isGiven, startedAt, say }): Promise<SizedData> {
      const notices: Notice[] = [];
      const config = await withModelLength(asked, isGiven('cutoff_len'), notices);
      const text = await withInputProblems(config, () => openTextTools(config, startedAt));
      if (config.do_train) await requireModelTemplate(config, text);
      const data = await withPlannedData(config, text.encoder, (settings) =>
        prepareTrainingData(settings, text.encoder),
      );
      for (const notice of new Set([...notices, ...data.notices].map((item) => item.text)))
        say({ type: 'notice', text: notice });
      return {
        ...trainingBatches(config, data.train),
        evaluation: evaluationBatches(data, config.per_device_eval_batch_size),
        plan: { ...data.plan },
        hash: data.contentHash,
        save: (folder) => text.save(folder),
        largest: plannedBatch(data, config),
      };
    },

    async createModel({ config, threads, form }, { setup }, data) {
      const { largest } = data as SizedData;
      // a start that is only to evaluate may have no rows to train on
      const first = () => (data.batchesPerEpoch > 0 ? data.batch(0, 0) : data.evaluation[0]!);
      const sized = { ...config, threads };
      const { engine, memory, error } = await createMeasuredEngine(sized, setup, largest, first, form);
      return {
        engine,
        form: memory.form,
        plan: [
          ...Object.entries(describeForm(memory.form)).map(([name, value]) => ({
            name,
            value: value as string | number,
          })),
          { name: 'weights_bytes', value: memory.weights },
          { name: 'trained_bytes', value: memory.trained },
          { name: 'optimizer_bytes', value: memory.optimizer },
          { name: 'activation_bytes', value: memory.activations },
          { name: 'peak_memory_bytes', value: memory.peak },
          ...(error ? arithmeticEntries(config.compute, error) : []),
        ],
        ...(config.finetuning_type === 'full' ? { decays: decaysInFullTuning } : {}),
        save: (folder) => setup.save(folder, engine),
      };
    },
  };
}
