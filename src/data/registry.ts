/**
 * The registry of data sets, `dataset_info.json`, as LLaMA-Factory's users have it. Two things differ on purpose: where
 * `columns` or `tags` name only some keys, the defaults of the others are kept (and said), and a misspelt key is said.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, isAbsolute, join } from 'node:path';
import { DataError, type FettleError, FileError, FormatError, UnsupportedError } from '../errors.ts';
import { isJsonObject, type JsonObject, type JsonValue, readError, readJsonObject } from '../formats/index.ts';
import { downloadDataset, hubOf } from '../hub/index.ts';
import { closest } from '../util/index.ts';
import { findConverter, formattingNames } from './converters.ts';
import {
  type Columns,
  type DatasetEntry,
  type DatasetSource,
  defaultColumns,
  openaiTags,
  type RowFormat,
  sharegptTags,
  type Tags,
} from './dataset-entry.ts';
import { expandGlob, isGlob } from './glob.ts';
import { errorOf, joinErrors } from './joined-errors.ts';
import { knownDatasets } from './known-datasets.ts';
import { makeNotice, type Notice } from './notice.ts';

/** The key of the config that names a data set. */
export type DatasetKey = 'dataset' | 'eval_dataset';

/** Name of the registry file inside `dataset_dir`. */
export const registryFileName = 'dataset_info.json';

/** File name endings of data files, packed or not, and the format that each stands for. */
export const rowFileFormats = {
  '.json': 'json',
  '.jsonl': 'jsonl',
  '.csv': 'csv',
  '.tsv': 'tsv',
  '.txt': 'txt',
  '.parquet': 'parquet',
  '.arrow': 'arrow',
} as const;
export type RowFileFormat = (typeof rowFileFormats)[keyof typeof rowFileFormats];

const packedEndings = ['.gz', '.zst'];
/** A folder with more files than this is taken for a mistake. */
const maxFiles = 100_000;

const entryKeys = new Set([
  'hf_hub_url',
  'ms_hub_url',
  'om_hub_url',
  'script_url',
  'cloud_file_name',
  'file_name',
  // Checksums of older releases of LLaMA-Factory.
  'file_sha1',
  'formatting',
  'ranking',
  'subset',
  'split',
  'folder',
  'num_samples',
  'columns',
  'tags',
]);
/** Beside the hubs that are read, in LLaMA-Factory's order of precedence. */
const sourceKeys = ['om_hub_url', 'script_url', 'cloud_file_name', 'file_name'] as const;

/** The format of a data file by its name, or undefined. */
export function rowFileFormat(path: string): RowFileFormat | undefined {
  const lower = path.toLowerCase();
  const packed = packedEndings.find((ending) => lower.endsWith(ending));
  const ending = extname(packed === undefined ? lower : lower.slice(0, -packed.length));
  return Object.hasOwn(rowFileFormats, ending) ? rowFileFormats[ending as keyof typeof rowFileFormats] : undefined;
}

/** A name that leads nowhere but into its folder. */
export function staysInside(path: string): boolean {
  return !isAbsolute(path) && !/^[A-Za-z]:/.test(path) && !path.includes('\0') && !path.split(/[\\/]/).includes('..');
}

function wrong(file: string, name: string, key: string, expected: string, value: JsonValue | undefined): never {
  throw new DataError('dataset-entry', { file, name, key, expected, actual: JSON.stringify(value) ?? 'nothing' });
}

function optionalName(entry: JsonObject, key: string, file: string, name: string): string | undefined {
  const value = Object.hasOwn(entry, key) ? entry[key] : undefined;
  if (value === undefined || value === null) return undefined;
  return typeof value === 'string' && value !== '' ? value : wrong(file, name, key, 'a text', value);
}

/** Columns that a data set may lack. */
const optionalColumns = new Set(['query', 'history', 'system', 'tools', 'images', 'videos', 'audios', 'kto_tag']);

/** Reads `columns` or `tags`: the named keys over the defaults. */
function readNames<N extends object>(
  entry: JsonObject,
  key: 'columns' | 'tags',
  defaults: N,
  file: string,
  name: string,
): { names: N; defaulted: (keyof N & string)[]; given: boolean } {
  const value = Object.hasOwn(entry, key) ? entry[key] : undefined;
  const allowed = Object.keys(defaults) as (keyof N & string)[];
  if (value === undefined || value === null) return { names: defaults, defaulted: allowed, given: false };
  if (!isJsonObject(value)) return wrong(file, name, key, 'an object', value);
  const names: Record<string, string | null> = {};
  for (const [column, field] of Object.entries(value)) {
    if (!allowed.some((known) => known === column))
      wrong(file, name, `${key}.${column}`, `one of ${allowed.join(', ')}`, column);
    if (field === null) {
      // Said to be none; a column that every row needs keeps its name.
      if (optionalColumns.has(column)) names[column] = null;
      continue;
    }
    if (typeof field !== 'string') return wrong(file, name, `${key}.${column}`, 'a text', field);
    names[column] = field;
  }
  return {
    names: { ...defaults, ...names },
    defaulted: allowed.filter((known) => !Object.hasOwn(value, known)),
    given: true,
  };
}

/** The hubs' keys; with USE_MODELSCOPE_HUB=1 ModelScope goes first, as in LLaMA-Factory. */
function hubKeys(): readonly (readonly [key: 'hf_hub_url' | 'ms_hub_url', hub: 'huggingface' | 'modelscope'])[] {
  const both = [['hf_hub_url', 'huggingface'] as const, ['ms_hub_url', 'modelscope'] as const];
  return hubOf({}) === 'modelscope' ? both.reverse() : both;
}

function readSource(entry: JsonObject, folder: string, file: string, name: string): DatasetSource {
  const part = {
    subset: optionalName(entry, 'subset', file, name),
    split: optionalName(entry, 'split', file, name),
    folder: optionalName(entry, 'folder', file, name),
  };
  for (const [key, hub] of hubKeys()) {
    const location = optionalName(entry, key, file, name);
    if (location !== undefined) return { kind: 'hub', hub, name: location, ...part };
  }
  const key = sourceKeys.find((one) => optionalName(entry, one, file, name) !== undefined);
  if (key === undefined)
    return wrong(
      file,
      name,
      'file_name',
      `there (or another of hf_hub_url, ms_hub_url, ${sourceKeys.slice(0, -1).join(', ')})`,
      undefined,
    );
  const location = optionalName(entry, key, file, name)!;
  if (key !== 'file_name') return { kind: 'other', key, location };
  if (!staysInside(location)) throw new DataError('dataset-path', { file, name, key, path: location });
  return { kind: 'files', files: [join(folder, location)] };
}

/** Understands one entry of the registry; `folder` is the registry's. */
export function readEntry(name: string, value: JsonValue | undefined, folder: string, notices: Notice[]): DatasetEntry {
  const file = join(folder, registryFileName);
  if (!isJsonObject(value)) return wrong(file, name, 'its value', 'an object', value);
  const unknown = Object.keys(value).filter((key) => !entryKeys.has(key));
  if (unknown.length > 0) {
    notices.push(
      makeNotice('dataset-keys-unknown', {
        registry: file,
        name,
        keys: unknown,
        suggestion: closest(unknown[0]!, [...entryKeys]),
      }),
    );
  }
  const formatting = optionalName(value, 'formatting', file, name) ?? 'alpaca';
  const converter = findConverter(formatting);
  const isBuiltin = formatting === 'alpaca' || formatting === 'sharegpt' || formatting === 'openai';
  if (!isBuiltin && converter === undefined) {
    const names = formattingNames();
    return wrong(file, name, 'formatting', `${names.slice(0, -1).join(', ')} or ${names.at(-1)!}`, formatting);
  }
  const ranking = value['ranking'] ?? false;
  if (typeof ranking !== 'boolean') return wrong(file, name, 'ranking', 'true or false', ranking);
  const samples = value['num_samples'] ?? undefined;
  if (samples !== undefined && (typeof samples !== 'number' || !Number.isInteger(samples) || samples < 1)) {
    return wrong(file, name, 'num_samples', 'a whole number from 1 on', samples);
  }
  const isOpenai = formatting === 'openai';
  const columns = readNames<Columns>(
    value,
    'columns',
    isOpenai ? { ...defaultColumns, messages: 'messages' } : defaultColumns,
    file,
    name,
  );
  const tags = readNames<Tags>(value, 'tags', isOpenai ? openaiTags : sharegptTags, file, name);
  return {
    name,
    source: readSource(value, folder, file, name),
    format: isBuiltin ? formatting : undefined,
    ...(converter === undefined ? {} : { converter }),
    ranking,
    numSamples: samples,
    columns: columns.names,
    tags: tags.names,
    defaultedColumns: columns.given ? columns.defaulted : [],
    defaultedTags: tags.given ? tags.defaulted : [],
    registry: file,
  };
}

async function readRegistry(folder: string): Promise<JsonObject | undefined> {
  try {
    return await readJsonObject(join(folder, registryFileName));
  } catch (error) {
    const cause = error instanceof FileError ? error.cause : undefined;
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** A data set that was named by its path: its format is told by its first row. */
function entryOfPath(name: string, path: string): DatasetEntry {
  return {
    name,
    source: { kind: 'files', files: [path] },
    format: undefined,
    ranking: false,
    numSamples: undefined,
    columns: defaultColumns,
    tags: sharegptTags,
    defaultedColumns: [],
    defaultedTags: [],
    registry: undefined,
  };
}

/** The data files of a path: itself, or those of a folder in the order of their names, all of one type. */
async function listFiles(path: string): Promise<string[]> {
  let entries: string[];
  if (isGlob(path) && !(await isThere(path))) {
    const found = (await expandGlob(path)).filter((file) => rowFileFormat(file) !== undefined);
    return oneType(path, found);
  }
  try {
    if (!(await stat(path)).isDirectory()) {
      if (rowFileFormat(path) === undefined) {
        throw new FormatError('dataset-extension', {
          file: path,
          allowed: Object.keys(rowFileFormats),
          actual: basename(path),
        });
      }
      return [path];
    }
    entries = await readdir(path);
  } catch (error) {
    throw readError(error, path);
  }
  const files = entries.filter((entry) => rowFileFormat(entry) !== undefined && entry !== registryFileName).sort();
  return oneType(
    path,
    files.map((file) => join(path, file)),
  );
}

function oneType(path: string, files: string[]): string[] {
  const types = [...new Set(files.map((file) => rowFileFormat(file)!))];
  if (files.length === 0 || files.length > maxFiles || types.length !== 1) {
    throw new FormatError('dataset-files', { folder: path, found: types });
  }
  return files;
}

/**
 * Finds the data sets that a config names: in the registry of `datasetDir`, else as a path (as it stands, else inside
 * `datasetDir`). Folders are listed.
 * @throws DataError `dataset-unknown`, `dataset-entry`, `dataset-path`; UnsupportedError `dataset-source`; FormatError `dataset-extension`, `dataset-files`.
 */
export async function resolveDatasets(
  names: readonly string[],
  datasetDir: string,
  notices: Notice[],
  key: DatasetKey = 'dataset',
): Promise<DatasetEntry[]> {
  const entries = await findDatasets(names, datasetDir, notices, key);
  const resolved: DatasetEntry[] = [];
  for (const entry of entries) {
    resolved.push({ ...entry, source: { kind: 'files', files: await filesOf(entry, notices) } });
  }
  return resolved;
}

/**
 * The entries of data sets whose files on this machine are there; those of hubs are not asked for.
 * @throws as `resolveDatasets`, for all names together.
 */
export async function findDatasets(
  names: readonly string[],
  datasetDir: string,
  notices: Notice[],
  key: DatasetKey = 'dataset',
): Promise<DatasetEntry[]> {
  const isOnline = datasetDir === 'ONLINE';
  const registry = isOnline ? undefined : await readRegistry(datasetDir);
  const entries: DatasetEntry[] = [];
  const errors: FettleError[] = [];
  for (const name of names) {
    const error = await errorOf(async () => {
      const entry = isOnline ? entryOfHub(name) : await findEntry(name, datasetDir, registry, notices, key);
      entries.push(entry.source.kind === 'hub' ? entry : { ...entry, source: await localFiles(entry) });
    });
    if (error !== undefined) errors.push(error);
  }
  if (errors.length > 0) throw joinErrors(errors);
  return entries;
}

/** The data files of a set that is no hub's. @throws UnsupportedError `dataset-source` */
async function localFiles({ source, name, registry }: DatasetEntry): Promise<DatasetSource> {
  if (source.kind === 'other') {
    const { key, location } = source;
    throw new UnsupportedError('dataset-source', { name, file: registry ?? name, key, location });
  }
  if (source.kind === 'hub') return source;
  return { kind: 'files', files: (await Promise.all(source.files.map(listFiles))).flat() };
}

/** An entry of the registry, a path, or one of the sets that everyone knows, in this order. */
async function findEntry(
  name: string,
  datasetDir: string,
  registry: JsonObject | undefined,
  notices: Notice[],
  key: DatasetKey,
): Promise<DatasetEntry> {
  if (registry !== undefined && Object.hasOwn(registry, name))
    return readEntry(name, registry[name], datasetDir, notices);
  const path = (await isThere(name)) || (isGlob(name) && isAbsolute(name)) ? name : join(datasetDir, name);
  if ((await isThere(path)) || isGlob(name)) return entryOfPath(name, path);
  const known = knownDatasets[name];
  if (known !== undefined && Object.hasOwn(knownDatasets, name)) {
    const { source, licence } = known;
    notices.push(makeNotice('dataset-known', { name, source, licence }));
    return {
      ...readEntry(name, known.entry, datasetDir, notices),
      registry: undefined,
      defaultedColumns: [],
      defaultedTags: [],
      ...known.more,
    };
  }
  const choices = [...Object.keys(registry ?? {}), ...Object.keys(knownDatasets)];
  throw new DataError('dataset-unknown', {
    key,
    name,
    registry: join(datasetDir, registryFileName),
    exists: registry !== undefined,
    suggestion: closest(name, choices),
  });
}

/** A set named by its place on Hugging Face (`dataset_dir: ONLINE`); its format is told by its rows. */
function entryOfHub(name: string): DatasetEntry {
  const source = {
    kind: 'hub',
    hub: 'huggingface',
    name,
    subset: undefined,
    split: undefined,
    folder: undefined,
  } as const;
  return { ...entryOfPath(name, name), source };
}

/** The data files of a set on this machine, downloaded where they are on a hub. */
async function filesOf({ source, name }: DatasetEntry, notices: Notice[]): Promise<readonly string[]> {
  if (source.kind !== 'hub') return source.kind === 'files' ? source.files : [];
  const { hub, subset, split, folder } = source;
  const files = await downloadDataset(source.name, hub, { subset, split, folder });
  notices.push(makeNotice('dataset-downloaded', { name, source: source.name, files: files.length }));
  return files;
}

/** Formats whose rows hold a list of messages. */
export function holdsMessages(format: RowFormat): boolean {
  return format === 'sharegpt' || format === 'openai';
}
