/**
 * Tokenised data on disk (`data prepare`, `tokenized_path`): Parquet files with ids and labels, and a record of
 * everything that made them. It is used again only where the hash of all that is the same.
 */
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  isThere,
  isJsonObject,
  type JsonObject,
  readJsonObject,
  readPackedBytes,
  readTableRecords,
  writeJsonFile,
  writeParquet,
} from '../formats/index.ts';
import type { MessageCode } from '../messages/index.ts';
import type { DatasetEntry } from './dataset-entry.ts';
import type { KeptRow } from './kept-rows.ts';
import { makeNotice, type Notice } from './notice.ts';
import type { RowEncoder } from './row-encoder.ts';
import { RowTally } from './row-tally.ts';
import type { DataSettings } from './settings.ts';

/** The record beside the Parquet files. */
export const preparedFileName = 'prepared.json';
/** Raised whenever rows become other tokens than before, or the files look otherwise. */
const preparedVersion = 1;

const columns = {
  row: 'int32',
  dataset: 'int32',
  uses: 'int32',
  input_ids: 'int32-list',
  labels: 'int32-list',
  weights: 'float-list',
} as const;

/** The settings that decide on the tokens of a row. Splitting, mixing, packing and batches are made anew in each run. */
const decidingKeys = [
  'stage',
  'cutoff_len',
  'max_prompt_length',
  'max_response_length',
  'overlong',
  'bad_rows',
  'max_samples',
  'mask_history',
  'train_on_turn',
] as const satisfies readonly (keyof DataSettings)[];

/** SHA-256 over everything that decides on the tokens: settings, data files, tokenizer, template, Fettle's way of doing it. */
export async function preparedIdentity(
  groups: readonly (readonly DatasetEntry[])[],
  settings: DataSettings,
  encoder: RowEncoder,
): Promise<string> {
  const hash = createHash('sha256');
  const add = (part: string | Uint8Array): void => {
    const bytes = typeof part === 'string' ? new TextEncoder().encode(part) : part;
    hash.update(`${bytes.length}:`).update(bytes);
  };
  add(`prepared ${preparedVersion}`);
  add(JSON.stringify(decidingKeys.map((key) => settings[key] ?? null)));
  add(String(settings.stage === 'pt' && settings.packing));
  for (const part of encoder.identity ?? []) add(part);
  for (const entry of groups.flatMap((group, index) => group.map((one) => ({ ...one, index })))) {
    // Where the files stand does not matter, only what is in them.
    const { source } = entry;
    const description = { ...entry, source: undefined, registry: undefined };
    const sampled = entry.numSamples === undefined ? null : settings.data_seed;
    add(JSON.stringify([description, sampled]));
    for (const file of source.kind === 'files' ? source.files : []) {
      const content = createHash('sha256');
      for await (const chunk of readPackedBytes(file)) content.update(chunk);
      add(content.digest());
    }
  }
  return hash.digest('hex');
}

/** What is told of the rows of one group of data sets. */
interface PreparedGroup {
  readonly file: string;
  readonly read: number;
  readonly truncated: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly examples: readonly string[];
}

/** Tokenised rows of one group of data sets on their way to or from the disk. */
export interface RowGroups {
  readonly rows: AsyncIterable<readonly KeptRow[]>;
  readonly tally: RowTally;
}

async function* toColumns(rows: AsyncIterable<readonly KeptRow[]>) {
  for await (const group of rows) {
    const sequences = group.flatMap(({ row, dataset, uses, sequences: own }) =>
      own.map((one) => ({ row, dataset, uses, ...one })),
    );
    yield {
      row: sequences.map(({ row }) => row),
      dataset: sequences.map(({ dataset }) => dataset),
      uses: sequences.map(({ uses }) => uses),
      input_ids: sequences.map(({ inputIds }) => inputIds),
      labels: sequences.map(({ labels }) => labels),
      weights: sequences.map(({ weights }) => weights ?? []),
    };
  }
}

/** Writes tokenised rows into a folder; the record comes last, so that a broken attempt is never taken for a whole one. */
export async function writePrepared(
  folder: string,
  identity: string,
  groups: readonly RowGroups[],
  notices: readonly Notice[],
): Promise<void> {
  const written: PreparedGroup[] = [];
  for (const [index, { rows, tally }] of groups.entries()) {
    // Named after what made it: an older record beside it can never point to it.
    const file = `${index === 0 ? 'train' : `evaluation-${index}`}-${identity.slice(0, 12)}.parquet`;
    await writeParquet(join(folder, file), columns, toColumns(rows), { fettle_identity: identity });
    const { read, truncated, byRule, examples } = tally;
    written.push({ file, read, truncated, dropped: byRule, examples });
  }
  const before = await listFiles(folder);
  const said = notices.map(({ code, fields }) => ({ code, fields }));
  await writeJsonFile(join(folder, preparedFileName), {
    version: preparedVersion,
    identity,
    groups: written,
    notices: said,
  });
  const kept = new Set(written.map(({ file }) => file));
  for (const file of before) if (!kept.has(file)) await rm(join(folder, file), { force: true });
}

/** The Parquet files that the record of a folder names; none where there is no record. */
async function listFiles(folder: string): Promise<string[]> {
  const record = await readJsonObject(join(folder, preparedFileName)).catch(() => undefined);
  const groups = record?.['groups'];
  if (!Array.isArray(groups)) return [];
  const files = groups.filter(isJsonObject).map(({ file }) => file);
  return files.filter((file): file is string => typeof file === 'string' && basename(file) === file);
}

/** Prepared data that agrees with a config. */
export interface PreparedData {
  readonly groups: readonly RowGroups[];
  readonly notices: readonly Notice[];
}

async function* fromColumns(path: string): AsyncGenerator<KeptRow[]> {
  let open: { row: number; dataset: number; uses: number; sequences: KeptRow['sequences'][number][] } | undefined;
  for await (const records of readTableRecords(path, 'parquet')) {
    const done: KeptRow[] = [];
    for (const { value } of records) {
      const { row, dataset, uses, input_ids, labels, weights } = value as Record<'row' | 'dataset' | 'uses', number> &
        Record<'input_ids' | 'labels' | 'weights', readonly number[]>;
      const plain = { inputIds: Int32Array.from(input_ids), labels: Int32Array.from(labels) };
      const sequence = weights.length === 0 ? plain : { ...plain, weights: Float32Array.from(weights) };
      if (open?.row === row) open.sequences.push(sequence);
      else {
        if (open) done.push(open);
        open = { row, dataset, uses, sequences: [sequence] };
      }
    }
    yield done;
  }
  if (open) yield [open];
}

function readGroup(folder: string, value: JsonObject): RowGroups {
  const { file, read, truncated, dropped, examples } = value as unknown as PreparedGroup;
  return { rows: fromColumns(join(folder, file)), tally: RowTally.of({ read, dropped, truncated }, examples) };
}

/**
 * Prepared data of a folder; undefined where there is none, or where it was made of something else.
 * @returns the notice that says so in the second case.
 */
export async function readPrepared(
  folder: string,
  identity: string,
): Promise<{ readonly data?: PreparedData; readonly notice?: Notice }> {
  const path = join(folder, preparedFileName);
  if (!(await isThere(path))) return { notice: makeNotice('prepared-missing', { folder }) };
  const record = await readJsonObject(path);
  const groups = record['groups'];
  const isSame = record['version'] === preparedVersion && record['identity'] === identity;
  const files = await listFiles(folder);
  if (!isSame || !Array.isArray(groups) || files.length !== groups.length) {
    return { notice: makeNotice('prepared-differs', { folder }) };
  }
  const said = Array.isArray(record['notices']) ? record['notices'].filter(isJsonObject) : [];
  const notices = said.map((one) => makeNotice(one['code'] as MessageCode, one['fields'] as never));
  return { data: { groups: groups.filter(isJsonObject).map((group) => readGroup(folder, group)), notices } };
}
