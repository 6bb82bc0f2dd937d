/**
 * From data files to the samples of a run: read, convert, tokenise, drop or shorten, set rows aside, mix, pack. `data plan`
 * and training both call this, so that the numbers of the plan are those of the run.
 */
import { createHash } from 'node:crypto';
import { DataError } from '../errors.ts';
import type { DatasetEntry } from './dataset-entry.ts';
import { encodeRows } from './encode-rows.ts';
import { GrowingArray } from './growing-array.ts';
import { hashNumbers, type KeptRow, type KeptRows, KeptRowsBuilder } from './kept-rows.ts';
import { mixRows } from './mixing.ts';
import type { Notice } from './notice.ts';
import { packBestFit, packInOrder } from './packing.ts';
import { type DataPlan, makePlan } from './plan.ts';
import { preparedIdentity, readPrepared, type RowGroups, writePrepared } from './prepared-data.ts';
import { isStream } from './read-rows.ts';
import { resolveDatasets } from './registry.ts';
import type { RowEncoder } from './row-encoder.ts';
import { RowTally } from './row-tally.ts';
import { packedSamples, type SampleSet, singleSamples, streamSamples } from './sample-set.ts';
import type { SequenceStore } from './sequence-store.ts';
import type { DataSettings } from './settings.ts';
import { chooseValidation, validationCount } from './split.ts';

/** A named set to evaluate on. */
export interface EvaluationSet {
  readonly name: string;
  readonly samples: SampleSet;
}

/** All that a run needs of its data. */
export interface TrainingData {
  readonly train: SampleSet;
  readonly evaluation: readonly EvaluationSet[];
  readonly plan: DataPlan;
  readonly notices: readonly Notice[];
  /** SHA-256 (hex) of the samples in order, and of what orders the batches: equal hashes mean equal training data. */
  readonly contentHash: string;
}

/** Data sets that are read together: first those of `dataset`, then those of `eval_dataset`, together or one by one. */
interface SetGroup {
  readonly names: readonly string[];
  readonly entries: readonly DatasetEntry[];
}

async function resolveGroups(settings: DataSettings, notices: Notice[]): Promise<SetGroup[]> {
  const resolve = async (names: readonly string[], key: 'dataset' | 'eval_dataset'): Promise<SetGroup> => ({
    names,
    entries: await resolveDatasets(names, settings.dataset_dir, notices, key),
  });
  const evaluation = settings.eval_on_each_dataset
    ? settings.eval_dataset.map((name) => [name])
    : [settings.eval_dataset];
  const groups = [await resolve(settings.dataset, 'dataset')];
  for (const names of evaluation) if (names.length > 0) groups.push(await resolve(names, 'eval_dataset'));
  return groups;
}

/** Tokenised rows of each group, as they are read. */
function encodeGroups(
  groups: readonly SetGroup[],
  settings: DataSettings,
  encoder: RowEncoder,
  notices: Notice[],
): RowGroups[] {
  return groups.map(({ entries }) => {
    const tally = new RowTally();
    return { tally, rows: encodeRows(entries, settings, encoder, tally, notices) };
  });
}

async function keepRows(rows: AsyncIterable<readonly KeptRow[]>, onGroup?: () => void): Promise<KeptRows> {
  const builder = new KeptRowsBuilder();
  for await (const group of rows) {
    for (const row of group) await builder.add(row);
    onGroup?.();
  }
  return builder.finish();
}

/** The sequences of rows, in order. */
function sequencesOf(kept: KeptRows, rows: Iterable<number>): Uint32Array {
  const sequences = new GrowingArray();
  for (const row of rows) for (let at = kept.starts[row]!; at < kept.starts[row + 1]!; at++) sequences.push(at);
  return sequences.toArray();
}

/** Samples of sequences: as they are, packed, or as one stream. */
function makeSamples(store: SequenceStore, order: Uint32Array, settings: DataSettings): SampleSet {
  if (isStream(settings)) return streamSamples(store, order, settings.cutoff_len);
  if (!settings.packing) return singleSamples(store, order);
  const lengths = order.map((sequence) => store.lengths[sequence]!);
  const pack = settings.disable_shuffling ? packInOrder : packBestFit;
  return packedSamples(store, order, pack(lengths, settings.cutoff_len));
}

/** The order of the training rows: each as often as it is used, the data sets mixed. */
function trainingOrder(
  kept: KeptRows,
  isValidation: Uint8Array,
  datasets: number,
  settings: DataSettings,
): Uint32Array {
  const lists = Array.from({ length: datasets }, () => new GrowingArray());
  for (let row = 0; row < kept.uses.length; row++) {
    if (isValidation[row] === 1) continue;
    for (let use = 0; use < kept.uses[row]!; use++) lists[kept.dataset[row]!]!.push(row);
  }
  const strategy = settings.mix_strategy ?? 'concat';
  const rows = lists.map((list) => list.toArray());
  const sizes = rows.map(({ length }) => length);
  const order = new GrowingArray();
  for (const { dataset, index } of mixRows(sizes, strategy, settings.interleave_probs, settings.data_seed)) {
    order.push(rows[dataset]![index]!);
  }
  return order.toArray();
}

function requireRows(kept: KeptRows, names: readonly string[], tally: RowTally): void {
  if (names.length === 0 || kept.uses.length > 0) return;
  throw new DataError('no-usable-row', { datasets: names, read: tally.read, counts: tally.byRule });
}

/** Prepared data that agrees with the config, else the rows as they are read from their files. */
async function openGroups(
  groups: readonly SetGroup[],
  settings: DataSettings,
  encoder: RowEncoder,
  notices: Notice[],
): Promise<readonly RowGroups[]> {
  if (settings.tokenized_path !== undefined) {
    const identity = await preparedIdentity(
      groups.map(({ entries }) => entries),
      settings,
      encoder,
    );
    const { data, notice } = await readPrepared(settings.tokenized_path, identity);
    if (notice) notices.push(notice);
    if (data) {
      notices.splice(0, notices.length, ...data.notices);
      return data.groups;
    }
  }
  return encodeGroups(groups, settings, encoder, notices);
}

/**
 * Prepares the data of a run.
 * @param onRows is told the number of rows read so far, now and then.
 * @throws DataError `bad-rows` (all rows of a wrong form in one), `no-usable-row`, `validation-takes-all`, and what
 * `resolveDatasets` and `readRows` throw.
 */
export async function prepareTrainingData(
  settings: DataSettings,
  encoder: RowEncoder,
  onRows?: (rows: number) => void,
): Promise<TrainingData> {
  const notices: Notice[] = [];
  const groups = await resolveGroups(settings, notices);
  const [training, ...evaluating] = await openGroups(groups, settings, encoder, notices);
  const { tally } = training!;
  const kept = await keepRows(training!.rows, () => onRows?.(tally.read));
  const rows = kept.uses.length;
  requireRows(kept, settings.dataset, tally);
  const validationRows = validationCount(rows, settings.val_size);
  if (validationRows > 0 && validationRows >= rows) {
    throw new DataError('validation-takes-all', { valSize: settings.val_size, rows, validationRows });
  }
  const isValidation = chooseValidation(rows, validationRows, settings.data_seed);
  const order = sequencesOf(kept, trainingOrder(kept, isValidation, groups[0]!.entries.length, settings));
  const train = makeSamples(kept.store, order, settings);
  const hash = createHash('sha256').update(kept.hash);
  const evaluation: EvaluationSet[] = [];
  if (validationRows > 0) {
    const chosen = [...isValidation.keys()].filter((row) => isValidation[row] === 1);
    evaluation.push({ name: 'validation', samples: makeSamples(kept.store, sequencesOf(kept, chosen), settings) });
  }
  for (const [index, { rows: evaluationRows, tally: evaluationTally }] of evaluating.entries()) {
    const { names } = groups[index + 1]!;
    const all = await keepRows(evaluationRows);
    requireRows(all, names, evaluationTally);
    const samples = makeSamples(all.store, sequencesOf(all, all.uses.keys()), settings);
    evaluation.push({ name: names.join(', '), samples });
    hash.update(all.hash);
    notices.push(...evaluationTally.notices(settings.overlong));
  }
  notices.push(...tally.notices(settings.overlong));
  hashNumbers(hash, order);
  hashNumbers(hash, isStream(settings) || settings.packing ? train.lengths : Uint32Array.of());
  hash.update(isValidation);
  return {
    train,
    evaluation,
    plan: makePlan(tally.rowCounts, train, settings),
    notices,
    contentHash: hash.digest('hex'),
  };
}

/** SHA-256 of everything that decides on the tokens of the rows of a config: its settings, files, tokenizer and template. */
export async function dataIdentity(settings: DataSettings, encoder: RowEncoder): Promise<string> {
  const sets = await resolveGroups(settings, []);
  return preparedIdentity(
    sets.map(({ entries }) => entries),
    settings,
    encoder,
  );
}

/** What `prepareData` has written. */
export interface PreparedSummary {
  readonly folder: string;
  /** SHA-256 of everything that made the data. */
  readonly identity: string;
  readonly rows_read: number;
  readonly rows_valid: number;
  readonly rows_dropped: Readonly<Record<string, number>>;
  readonly rows_truncated: number;
  readonly notices: readonly Notice[];
}

/**
 * Tokenises the data sets of a config and writes them to `folder`, from where training takes them (`tokenized_path`).
 * @throws what `prepareTrainingData` throws; FileError where the folder cannot be written. Nothing half-written is used.
 */
export async function prepareData(
  folder: string,
  settings: DataSettings,
  encoder: RowEncoder,
  onRows?: (rows: number) => void,
): Promise<PreparedSummary> {
  const notices: Notice[] = [];
  const sets = await resolveGroups(settings, notices);
  const identity = await preparedIdentity(
    sets.map(({ entries }) => entries),
    settings,
    encoder,
  );
  const groups = encodeGroups(sets, settings, encoder, notices);
  const { tally } = groups[0]!;
  const counted = groups.map(({ rows, tally: own }) => ({
    tally: own,
    rows: withProgress(rows, () => onRows?.(own.read)),
  }));
  await writePrepared(folder, identity, counted, notices);
  if (tally.read === tally.dropped) {
    throw new DataError('no-usable-row', { datasets: settings.dataset, read: tally.read, counts: tally.byRule });
  }
  notices.push(...tally.notices(settings.overlong));
  const { read, dropped, byRule, truncated } = tally;
  return {
    folder,
    identity,
    rows_read: read,
    rows_valid: read - dropped,
    rows_dropped: byRule,
    rows_truncated: truncated,
    notices,
  };
}

async function* withProgress<T>(items: AsyncIterable<T>, onItem: () => void): AsyncGenerator<T> {
  for await (const item of items) {
    yield item;
    onItem();
  }
}
