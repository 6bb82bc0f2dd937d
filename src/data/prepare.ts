/**
 * From data files to the samples of a run: read, convert, tokenise, drop or shorten, set rows aside, mix, pack. `data plan`
 * and training both call this, so that the numbers of the plan are those of the run.
 */
import { createHash, type Hash } from 'node:crypto';
import { DataError } from '../errors.ts';
import type { DatasetEntry } from './dataset-entry.ts';
import { mixRows } from './mixing.ts';
import { makeNotice, type Notice } from './notice.ts';
import { packBestFit, packInOrder } from './packing.ts';
import { type DataPlan, makePlan } from './plan.ts';
import { encodeExample, isStream, readRows } from './read-rows.ts';
import { resolveDatasets } from './registry.ts';
import type { RowEncoder } from './row-encoder.ts';
import { RowTally } from './row-tally.ts';
import { packedSamples, type SampleSet, singleSamples, streamSamples } from './sample-set.ts';
import { type SequenceStore, SequenceStoreBuilder } from './sequence-store.ts';
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

/** Rows that are used, with their sequences. */
interface KeptRows {
  readonly store: SequenceStore;
  /** First sequence of each row; one more entry closes the last. u32[rows + 1]. */
  readonly starts: Uint32Array;
  /** How often each row is used, u32[rows]. */
  readonly uses: Uint32Array;
  /** Index into the data sets of each row, u32[rows]. */
  readonly dataset: Uint32Array;
}

function hashNumbers(hash: Hash, values: Int32Array | Uint32Array | Float32Array): void {
  hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}

/** Reads, converts and tokenises all rows of some data sets. Progress is told in rows. */
async function readKeptRows(
  entries: readonly DatasetEntry[],
  settings: DataSettings,
  encoder: RowEncoder,
  tally: RowTally,
  notices: Notice[],
  hash: Hash,
  onRows?: (rows: number) => void,
): Promise<KeptRows> {
  const refused = new RowTally();
  const overlong = new RowTally();
  const builder = new SequenceStoreBuilder();
  const starts: number[] = [];
  const uses: number[] = [];
  const dataset: number[] = [];
  for await (const group of readRows(entries, settings, notices)) {
    for (const row of group) {
      tally.read++;
      const encoded = row.example ? encodeExample(row.example, encoder, settings) : { problem: row.problem! };
      if ('problem' in encoded) {
        const { problem } = encoded;
        tally.add(problem, row.place);
        if (problem.rule === 'over-length') {
          if (settings.overlong === 'error') overlong.add(problem, row.place);
        } else if (settings.bad_rows === 'error') refused.add(problem, row.place);
        continue;
      }
      if (encoded.truncated) tally.truncated++;
      starts.push(builder.size);
      uses.push(row.uses);
      dataset.push(row.dataset);
      for (const sequence of encoded.sequences) {
        await builder.add({ ...sequence, row: row.place.row });
        hashNumbers(hash, Uint32Array.of(sequence.inputIds.length, row.place.row));
        hashNumbers(hash, sequence.inputIds);
        hashNumbers(hash, sequence.labels);
        if (sequence.weights) hashNumbers(hash, sequence.weights);
      }
    }
    onRows?.(tally.read);
  }
  refused.refuse('bad-rows');
  overlong.refuse('overlong');
  starts.push(builder.size);
  return {
    store: await builder.finish(),
    starts: Uint32Array.from(starts),
    uses: Uint32Array.from(uses),
    dataset: Uint32Array.from(dataset),
  };
}

/** The sequences of rows, in order. */
function sequencesOf(kept: KeptRows, rows: Iterable<number>): Uint32Array {
  const sequences: number[] = [];
  for (const row of rows) for (let at = kept.starts[row]!; at < kept.starts[row + 1]!; at++) sequences.push(at);
  return Uint32Array.from(sequences);
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
function trainingOrder(kept: KeptRows, isValidation: Uint8Array, datasets: number, settings: DataSettings): number[] {
  const rows: number[][] = Array.from({ length: datasets }, () => []);
  for (let row = 0; row < kept.uses.length; row++) {
    if (isValidation[row] === 1) continue;
    for (let use = 0; use < kept.uses[row]!; use++) rows[kept.dataset[row]!]!.push(row);
  }
  const strategy = settings.mix_strategy ?? 'concat';
  const sizes = rows.map(({ length }) => length);
  const order: number[] = [];
  for (const { dataset, index } of mixRows(sizes, strategy, settings.interleave_probs, settings.data_seed)) {
    order.push(rows[dataset]![index]!);
  }
  return order;
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
  const hash = createHash('sha256');
  const entries = await resolveDatasets(settings.dataset, settings.dataset_dir, notices);
  const evaluationEntries = await resolveDatasets(settings.eval_dataset, settings.dataset_dir, notices);
  const tally = new RowTally();
  const kept = await readKeptRows(entries, settings, encoder, tally, notices, hash, onRows);
  const rows = kept.uses.length;
  if (entries.length > 0 && rows === 0) {
    throw new DataError('no-usable-row', { datasets: settings.dataset, read: tally.read, counts: tally.byRule });
  }
  const validationRows = validationCount(rows, settings.val_size);
  if (validationRows > 0 && validationRows >= rows) {
    throw new DataError('validation-takes-all', { valSize: settings.val_size, rows, validationRows });
  }
  const isValidation = chooseValidation(rows, validationRows, settings.data_seed);
  const order = sequencesOf(kept, trainingOrder(kept, isValidation, entries.length, settings));
  const train = makeSamples(kept.store, order, settings);
  const evaluation: EvaluationSet[] = [];
  if (validationRows > 0) {
    const chosen = [...isValidation.keys()].filter((row) => isValidation[row] === 1);
    evaluation.push({ name: 'validation', samples: makeSamples(kept.store, sequencesOf(kept, chosen), settings) });
  }
  const groups = settings.eval_on_each_dataset ? evaluationEntries.map((entry) => [entry]) : [evaluationEntries];
  for (const group of groups) {
    if (group.length === 0) continue;
    const evaluationTally = new RowTally();
    const evaluationRows = await readKeptRows(group, settings, encoder, evaluationTally, notices, hash);
    const name = group.map((entry) => entry.name).join(', ');
    if (evaluationRows.uses.length === 0) {
      throw new DataError('no-usable-row', {
        datasets: [name],
        read: evaluationTally.read,
        counts: evaluationTally.byRule,
      });
    }
    const all = sequencesOf(evaluationRows, evaluationRows.uses.keys());
    evaluation.push({ name, samples: makeSamples(evaluationRows.store, all, settings) });
    addDropNotices(evaluationTally, settings, notices);
  }
  addDropNotices(tally, settings, notices);
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

function addDropNotices(tally: RowTally, settings: DataSettings, notices: Notice[]): void {
  const { read, dropped, byRule, examples, truncated } = tally;
  if (dropped > 0) notices.push(makeNotice('rows-dropped', { total: dropped, read, counts: byRule, examples }));
  if (truncated > 0) notices.push(makeNotice('rows-truncated', { total: truncated, policy: settings.overlong }));
}
