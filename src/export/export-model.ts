/**
 * `fettle export`: a model folder with its adapters merged in, or a tuned model resharded or stored in another dtype. The result is made
 * in a folder beside `exportDir` and renamed when it is whole.
 */
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { ConfigError, FileError, FormatError, messageText } from '../errors.ts';
import {
  editJsonObject,
  elementCount,
  type FloatDtype,
  isAdapterFolder,
  type JsonObject,
  openCheckpoint,
  withModelNames,
  openPeftAdapter,
  readError,
  readJsonObject,
  readTextFile,
  storedBytes,
  syncFolder,
  writeCheckpoint,
  writeError,
  writeFileAtomically,
  writeJsonFile,
} from '../formats/index.ts';
import { vocabularySizeKey } from '../models/index.ts';
import { isHeadStillTied, mergedTensors } from './merge.ts';
import { type MergePlan, planMerge } from './merge-plan.ts';

/** Progress of an export: a tensor was written. */
export interface ExportProgress {
  readonly tensor: string;
  readonly bytesWritten: number;
  readonly totalBytes: number;
}

/** What `exportModel` reads and where it writes. */
export interface ExportModelOptions {
  /** The base model's folder, or a fully tuned one's. */
  readonly model: string;
  /** Adapter folders, merged in this order. */
  readonly adapters?: readonly string[];
  readonly exportDir: string;
  /** Largest shard in GB of 10^9 bytes; 5 where left out, as LLaMA-Factory. */
  readonly exportSize?: number;
  /** Stores floats in this dtype; left out, in the base's. */
  readonly dtype?: FloatDtype;
  /** Replaces a folder that is no earlier export. */
  readonly overwrite?: boolean;
  readonly onProgress?: (progress: ExportProgress) => void;
}

/** What an export left. */
export interface ExportResult {
  readonly folder: string;
  /** Names of the files in it. */
  readonly files: readonly string[];
  readonly parameters: number;
  readonly totalBytes: number;
  /** Number of tensors that the adapters changed. */
  readonly changedTensors: number;
  /** What a user should be told, in words. */
  readonly notices: readonly string[];
}

/** Marks a folder as made by an export, and says from what. */
const markerName = 'fettle_export.json';
const defaultShardGb = 5;

/** A tokenizer's files and its template, taken together from the adapter where it has any, else from the model. */
const tokenizerFiles =
  /^(.*tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|vocab\.json|merges\.txt|.*\.model(\.v\d+)?|.*\.tiktoken|chat_template\.(jinja|json)|fettle_template\.json)$/;
/** Files of the base that go with its weights wherever they go. */
const modelFiles = /^(generation_config\.json|(LICENSE|NOTICE|USE_POLICY|COPYING)[^/]*)$/i;

const dtypeNames: Readonly<Record<FloatDtype, string>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`));
}

async function namesIn(folder: string): Promise<string[] | undefined> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw readError(error, folder);
  }
}

/** Refuses a target that holds something else than an earlier export, or what is exported. */
async function checkTarget(options: ExportModelOptions): Promise<void> {
  const folder = options.exportDir;
  const names = await namesIn(folder);
  if (names === undefined) return;
  const target = await realpath(folder);
  for (const input of [options.model, ...(options.adapters ?? [])]) {
    const source = await realpath(input).catch(() => resolve(input));
    if (isInside(source, target)) throw new FileError('export-over-input', { folder, input });
  }
  if (names.length === 0 || names.includes(markerName) || options.overwrite) return;
  const found = names.length === 1 ? names[0]! : `${names[0]} and ${names.length - 1} more`;
  throw new FileError('export-not-empty', { folder, found });
}

/** Copies what belongs beside the weights; the adapter's tokenizer and template, where it has them, replace the base's. */
async function copyCompanions(options: ExportModelOptions, target: string): Promise<void> {
  const base = (await namesIn(options.model)) ?? [];
  const copies = base.filter((name) => modelFiles.test(name)).map((name) => ({ folder: options.model, name }));
  const folders = [options.model, ...(options.adapters ?? [])].reverse();
  for (const folder of folders) {
    const names = (await namesIn(folder)) ?? [];
    const own = names.filter((name) => tokenizerFiles.test(name));
    if (own.length === 0) continue;
    copies.push(...own.map((name) => ({ folder, name })));
    break;
  }
  for (const { folder, name } of copies) {
    const source = join(folder, name);
    if (!(await stat(source)).isFile()) continue;
    try {
      await copyFile(source, join(target, name));
    } catch (error) {
      throw await writeError(error, join(options.exportDir, name), (await stat(source)).size);
    }
  }
}

/** The base's config.json: byte for byte, but for what the merge changed. */
async function writeConfig(options: ExportModelOptions, changes: JsonObject, target: string): Promise<void> {
  const [source, path] = [join(options.model, 'config.json'), join(target, 'config.json')];
  if (Object.keys(changes).length === 0) await writeFileAtomically(path, await readFile(source));
  else await writeFileAtomically(path, editJsonObject(await readTextFile(source), changes));
}

function configChanges(
  config: JsonObject,
  plan: MergePlan,
  headParted: boolean,
  dtype: FloatDtype | undefined,
): { changes: JsonObject; notices: string[] } {
  const changes: JsonObject = {};
  const notices: string[] = [];
  if (plan.partedHead && headParted) {
    changes['tie_word_embeddings'] = false;
    notices.push(messageText('export-untied', plan.partedHead));
  }
  if (plan.vocabularySize !== undefined) {
    const sizeKey = vocabularySizeKey(config);
    changes[sizeKey] = plan.vocabularySize;
    const from = typeof config[sizeKey] === 'number' ? config[sizeKey] : 0;
    notices.push(messageText('export-vocabulary', { from, to: plan.vocabularySize }));
  }
  // transformers 5 writes `dtype`, earlier ones `torch_dtype`.
  const key = Object.hasOwn(config, 'dtype') ? 'dtype' : 'torch_dtype';
  if (dtype !== undefined && config[key] !== dtypeNames[dtype]) changes[key] = dtypeNames[dtype];
  return { changes, notices };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** A new folder beside the target; those that killed exports left there are removed. */
async function makeWorkFolder(exportDir: string): Promise<string> {
  const parent = dirname(resolve(exportDir));
  const start = `.${basename(resolve(exportDir))}.export-`;
  const folder = join(parent, `${start}${process.pid}-${randomBytes(4).toString('hex')}`);
  try {
    await mkdir(parent, { recursive: true });
    for (const name of await readdir(parent)) {
      const pid = name.startsWith(start) ? /^(\d+)-[0-9a-f]{8}$/.exec(name.slice(start.length))?.[1] : undefined;
      if (pid !== undefined && !isRunning(Number(pid))) await rm(join(parent, name), { recursive: true, force: true });
    }
    await mkdir(folder);
  } catch (error) {
    throw await writeError(error, exportDir);
  }
  return folder;
}

/** Puts the finished folder in the target's place. */
async function moveIntoPlace(work: string, exportDir: string): Promise<void> {
  const target = resolve(exportDir);
  const old = `${work}-old`;
  try {
    let replaced = true;
    await rename(target, old).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
      replaced = false;
    });
    try {
      await rename(work, target);
    } catch (error) {
      if (replaced) await rename(old, target);
      throw error;
    }
    await rm(old, { recursive: true, force: true });
    await syncFolder(dirname(target));
  } catch (error) {
    throw await writeError(error, exportDir);
  }
}

/** Errors of the work folder name the folder that the user knows. */
function inUserWords(error: unknown, work: string, exportDir: string): unknown {
  if (!(error instanceof FileError)) return error;
  const { code, fields, cause } = error as FileError<'disk-full' | 'file-unwritable'>;
  if (typeof fields.file !== 'string' || !isInside(resolve(fields.file), work)) return error;
  const file = join(exportDir, relative(work, resolve(fields.file)));
  return new FileError(code, { ...fields, file }, { cause });
}

/**
 * Merges adapters into a model and writes the result as a model folder.
 *
 * Weights: W + s·B·A in f32, rounded once to nearest even to the base's dtype; PEFT's saved modules and token rows replaced; where a tied
 * head and its embedding part, both are stored and the config says so. Beside them config, generation config, tokenizer, template
 * and licence files. Nothing appears at `exportDir` before everything is written.
 * @throws ConfigError `export-size`; FileError `export-not-empty`, `export-over-input`, `disk-full`, `file-unreadable`; FormatError for broken
 *   files, or an adapter that does not fit the model (module named); UnsupportedError `adapter-unsupported`.
 */
export async function exportModel(options: ExportModelOptions): Promise<ExportResult> {
  const sizeGb = options.exportSize ?? defaultShardGb;
  if (!(sizeGb > 0)) throw new ConfigError('export-size', { value: sizeGb });
  await checkTarget(options);
  if (await isAdapterFolder(options.model)) throw new FormatError('export-base-is-adapter', { folder: options.model });
  const config = await readJsonObject(join(options.model, 'config.json'));
  const base = withModelNames(await openCheckpoint(options.model));
  const adapters = [];
  for (const folder of options.adapters ?? []) adapters.push(await openPeftAdapter(folder));
  const plan = planMerge(base, adapters, config['tie_word_embeddings'] === true);
  const stillTied = await isHeadStillTied(plan);
  const without = new Set(plan.partedHead && stillTied ? [plan.partedHead.head] : []);
  const tensors = mergedTensors(plan, options.dtype, without);
  const { changes, notices } = configChanges(config, plan, !stillTied, options.dtype);
  const totalBytes = tensors.reduce((sum, { dtype, shape }) => sum + storedBytes(dtype, shape), 0);

  const work = await makeWorkFolder(options.exportDir);
  try {
    await writeCheckpoint(work, tensors, Math.floor(sizeGb * 1e9), ({ name }, bytesWritten) => {
      options.onProgress?.({ tensor: name, bytesWritten, totalBytes });
    });
    await copyCompanions(options, work);
    await writeConfig(options, changes, work);
    await writeJsonFile(join(work, markerName), {
      model: options.model,
      adapters: options.adapters ?? [],
      changed_tensors: plan.changed.size,
    });
    await moveIntoPlace(work, options.exportDir);
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    throw inUserWords(error, work, options.exportDir);
  }
  return {
    folder: options.exportDir,
    files: (await namesIn(options.exportDir)) ?? [],
    parameters: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    totalBytes,
    changedTensors: plan.changed.size,
    notices,
  };
}
