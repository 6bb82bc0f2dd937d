/**
 * Reads data sets row by row: source -> record -> example -> sequences. Training, plan, preview and check all go through
 * here, so that what one says of a row is what the others do with it.
 */
import { DataError } from '../errors.ts';
import { convertRow, type DataStage, detectFormat, type RowReading, usedFields } from './convert-row.ts';
import type { DatasetEntry } from './dataset-entry.ts';
import { countRecords, type PlacedRecord, readDatasetRecords, readingOf } from './dataset-rows.ts';
import type { Example } from './example.ts';
import { isFields } from './fields.ts';
import { makeNotice, type Notice } from './notice.ts';
import { fitConversation, type FittedRow, fitText } from './overlong.ts';
import type { EncodedRow, RowEncoder } from './row-encoder.ts';
import type { Conversation } from '../template/index.ts';
import { type RowPlace, rowProblem, type RowProblem } from './row.ts';
import { ignoredLabel } from './sequence.ts';
import type { DataSettings } from './settings.ts';
import { chooseSamples } from './split.ts';

/** A row that was looked at. */
export interface ReadRow {
  readonly place: RowPlace;
  /** Index of its data set. */
  readonly dataset: number;
  /** What stood in the file; undefined where it could not be read. */
  readonly value: unknown;
  readonly example?: Example;
  readonly problem?: RowProblem;
  /** How often the row is used (num_samples). */
  readonly uses: number;
}

/** Fields of this many rows are looked at to tell which are not used. */
const inspectedRows = 1000;

/** Tells which fields of the rows have no effect, and which have one that LLaMA-Factory would not give them. */
class FieldInspector {
  private readonly seen = new Set<string>();
  private rows = 0;

  look(value: unknown): void {
    if (this.rows++ >= inspectedRows || !isFields(value)) return;
    for (const name of Object.keys(value)) if (this.seen.size < inspectedRows) this.seen.add(name);
  }

  notices(entry: DatasetEntry, reading: RowReading): Notice[] {
    const used = usedFields(reading);
    const unused = [...this.seen].filter((name) => !used.has(name));
    const notices: Notice[] = [];
    const registry = entry.registry ?? '';
    for (const key of entry.defaultedColumns) {
      const column = reading.columns[key];
      if (column !== null && this.seen.has(column) && used.has(column)) {
        notices.push(makeNotice('default-column-used', { name: entry.name, registry, column, key }));
      }
    }
    if (entry.defaultedTags.length > 0 && (reading.format === 'sharegpt' || reading.format === 'openai')) {
      notices.push(makeNotice('default-tags-used', { name: entry.name, registry, tags: entry.defaultedTags }));
    }
    if (unused.length > 0) notices.push(makeNotice('columns-unused', { name: entry.name, columns: unused }));
    return notices;
  }
}

/**
 * All rows of the data sets in turn, numbered from 0 over all of them, those beyond `max_samples` and `num_samples` left
 * out. Never throws for what a row holds.
 * @param onEmpty is told of a set without rows; left out, such a set is refused.
 * @throws DataError `empty-dataset`, `dataset-format`, `dataset-stage`.
 */
export async function* readRows(
  entries: readonly DatasetEntry[],
  settings: Pick<DataSettings, 'stage' | 'max_samples' | 'data_seed'>,
  notices: Notice[],
  onEmpty: (error: DataError<'empty-dataset'>, place: RowPlace) => void = (error) => {
    throw error;
  },
): AsyncGenerator<ReadRow[]> {
  let row = 0;
  for (const [order, entry] of entries.entries()) {
    const limit = settings.max_samples ?? Infinity;
    const rows = entry.numSamples === undefined ? undefined : await countRecords(entry);
    const wanted = Math.min(entry.numSamples ?? 0, limit);
    const uses = rows === undefined ? undefined : chooseSamples(rows, wanted, entry.name, settings.data_seed);
    if (rows !== undefined) notices.push(makeNotice('rows-sampled', { name: entry.name, used: wanted, rows }));
    const inspector = new FieldInspector();
    let reading: RowReading | undefined;
    let inDataset = 0;
    let limited = false;
    for await (const records of readDatasetRecords(entry)) {
      const group: ReadRow[] = [];
      reading ??= firstReading(entry, settings.stage, records);
      for (const { file, record } of records) {
        const place: RowPlace = { dataset: entry.name, file, line: record.line, row: row++ };
        const times = uses ? uses[inDataset]! : inDataset < limit ? 1 : 0;
        inDataset++;
        limited ||= uses === undefined && times === 0;
        if (times === 0) continue;
        inspector.look(record.value);
        // Before the first good row there is no reading, but a record with a fault needs none.
        const converted = convertRow(record, reading ?? emptyReading);
        const known = { place, dataset: order, value: record.value, uses: times };
        if ('problem' in converted) group.push({ ...known, problem: converted.problem });
        else
          group.push({
            ...known,
            example: entry.firstExchangeOnly ? firstExchange(converted.example) : converted.example,
          });
      }
      yield group;
      // The rows of later sets are numbered behind all rows of this one, used or not.
      if (limited && order === entries.length - 1) break;
    }
    if (inDataset === 0) {
      const file = entry.source.kind === 'files' ? entry.source.files.join(', ') : entry.name;
      onEmpty(new DataError('empty-dataset', { file }), { dataset: entry.name, file, line: 0, row });
    }
    if (limited) notices.push(makeNotice('samples-limited', { name: entry.name, used: limit }));
    if (reading) notices.push(...inspector.notices(entry, reading));
  }
}

/** A conversation up to its first answer. */
function firstExchange(example: Example): Example {
  if (example.kind !== 'conversation') return example;
  const { conversation } = example;
  const end = conversation.messages.findIndex(({ role }) => role === 'assistant') + 1;
  return { ...example, conversation: { ...conversation, messages: conversation.messages.slice(0, end) } };
}

/** The reading that the first telling row of a group gives; undefined where no row of it could be read. */
function firstReading(entry: DatasetEntry, stage: DataStage, records: readonly PlacedRecord[]): RowReading | undefined {
  const readable = records.filter(({ record }) => record.fault === undefined);
  const telling = readable.find(({ record }) => detectFormat(record.value) !== undefined) ?? readable[0];
  return telling && readingOf(entry, stage, telling.file, telling.record.value);
}

const emptyReading = { stage: 'sft', format: 'alpaca', ranking: false } as RowReading;

/** A row as the trainer gets it: its sequences, or the rule that drops it. */
export type EncodedExample =
  | { readonly sequences: readonly EncodedRow[]; readonly truncated: boolean }
  | { readonly problem: RowProblem };

/** The settings that say how long a sequence may be. */
export type LengthSettings = Pick<
  DataSettings,
  | 'stage'
  | 'cutoff_len'
  | 'max_prompt_length'
  | 'max_response_length'
  | 'overlong'
  | 'mask_history'
  | 'train_on_turn'
  | 'packing'
>;

/** Whether the texts of a set become one stream, which has no long rows. */
export function isStream(settings: Pick<DataSettings, 'stage' | 'packing'>): boolean {
  return settings.stage === 'pt' && settings.packing;
}

/** Tokenises an example and fits it into its limits. */
export function encodeExample(example: Example, encoder: RowEncoder, settings: LengthSettings): EncodedExample {
  if (example.kind === 'text' && isStream(settings)) {
    return { sequences: [encoder.encodeText(example.text)], truncated: false };
  }
  const fitted = fitExample(example, encoder, settings);
  if ('problem' in fitted) return fitted;
  if ('excess' in fitted) return { problem: rowProblem('over-length', [], fitted.excess) };
  const isTrained = fitted.sequences.every(({ labels }) => labels.some((label) => label !== ignoredLabel));
  if (!isTrained || fitted.sequences.length === 0) return { problem: rowProblem('no-trained-token', [], {}) };
  return fitted;
}

function fitExample(
  example: Example,
  encoder: RowEncoder,
  settings: LengthSettings,
): FittedRow | { problem: RowProblem } {
  if (example.kind === 'text') return fitText(encoder, example.text, settings, settings.overlong);
  try {
    return fitConversation(
      encoder,
      onTurns(conversationOf(example), settings.train_on_turn),
      settings,
      settings.overlong,
      settings.mask_history,
    );
  } catch (error) {
    // A template may refuse what the rules of rows allow: tools, or a system text.
    if (!(error instanceof DataError)) throw error;
    return { problem: rowProblem('template-rejects-row', [], { reason: error.message }) };
  }
}

/** The conversation with all answers but the chosen ones marked as untrained. */
function onTurns(conversation: Conversation, turns: readonly number[] | undefined): Conversation {
  if (turns === undefined || turns.length === 0) return conversation;
  const answers = conversation.messages.flatMap(({ role }, index) => (role === 'assistant' ? [index] : []));
  const chosen = new Set(turns.map((turn) => answers.at(turn)));
  const messages = conversation.messages.map((message, index) =>
    message.role === 'assistant' && !chosen.has(index) ? { ...message, train: false } : message,
  );
  return { ...conversation, messages };
}

/** The conversation that supervised training sees in a row; of a pair, the chosen answer. */
function conversationOf(example: Exclude<Example, { kind: 'text' }>): Conversation {
  if (example.kind !== 'pair') return example.conversation;
  return { ...example.prompt, messages: [...example.prompt.messages, example.chosen] };
}
