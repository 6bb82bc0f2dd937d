/**
 * The weights of a PEFT LoRA adapter: adapter_model.safetensors with the names of PEFT 0.5 to 0.21. Reading gives typed pairs, saved
 * modules and token rows; what belongs to an unsupported variant is refused by tensor name.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FileError, FormatError, UnsupportedError } from '../errors.ts';
import { readError } from './file-errors.ts';
import { isThere } from './is-there.ts';
import { adapterConfigName, type PeftConfig, rankOf, readPeftConfig, writePeftConfig } from './peft-config.ts';
import { elementCount, readTensor, type TensorEntry } from './safetensors.ts';
import { tensorFromValues, writeSafetensors } from './safetensors-writer.ts';
import { openWeightsFile } from './torch-weights.ts';

/** The weights' file name in an adapter folder. */
export const adapterWeightsName = 'adapter_model.safetensors';
/** The same as PEFT before 0.6 wrote it. */
const torchAdapterWeightsName = 'adapter_model.bin';
/** What PEFT puts before the base model's own names. */
const prefix = 'base_model.model.';

/**
 * One module's pair. `linear`: A is [R, in], B is [out, R]. `embedding`: A is [R, V], B is [D, R], and the module's weight [V, D]
 * changes by the transpose of B·A.
 */
export interface LoraPair<T> {
  readonly kind: 'linear' | 'embedding';
  readonly rank: number;
  /** Columns of A. */
  readonly inFeatures: number;
  /** Rows of B. */
  readonly outFeatures: number;
  readonly a: T;
  readonly b: T;
}

/** Rows of an embedding (or head) that were trained: row i of [ids, D] replaces row `ids[i]`. */
export interface TokenRows<T> {
  readonly ids: readonly number[];
  readonly rows: T;
}

/** Values with their shape, f32. */
export interface ShapedValues {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** An adapter; `T` is where the values lie (`TensorEntry`) or the values themselves. Keys are names of the base model. */
export interface PeftAdapterOf<T> {
  readonly folder: string;
  readonly config: PeftConfig;
  /** By module path, e.g. `model.layers.0.self_attn.q_proj`. */
  readonly loraPairs: ReadonlyMap<string, LoraPair<T>>;
  /** By parameter name, e.g. `lm_head.weight`: PEFT's modules_to_save, and base weights that it stored beside the pairs. */
  readonly savedModules: ReadonlyMap<string, T>;
  /** By module path, e.g. `model.embed_tokens`. */
  readonly tokenRows: ReadonlyMap<string, TokenRows<T>>;
}
/** An adapter whose tensors were found but not read. */
export type OpenedPeftAdapter = PeftAdapterOf<TensorEntry>;
/** An adapter in memory. */
export type PeftAdapter = PeftAdapterOf<ShapedValues>;

type Part =
  | { kind: 'a' | 'b'; embedding: boolean; module: string }
  | { kind: 'tokens'; module: string }
  | { kind: 'saved'; parameter: string };

/** What a tensor of an adapter is, by its name; PEFT before 0.4 left the adapter's name (`default`) inside. */
function partOf(name: string, file: string): Part {
  if (!name.startsWith(prefix)) {
    throw new FormatError('adapter-tensor', {
      file,
      tensor: name,
      requirement: `its name must begin with ${prefix}`,
      actual: 'another beginning',
    });
  }
  const rest = name.slice(prefix.length);
  const linear = /^(.+)\.lora_([AB])(?:\.[^.]+)?\.weight$/.exec(rest);
  if (linear) return { kind: linear[2] === 'A' ? 'a' : 'b', embedding: false, module: linear[1]! };
  const embedding = /^(.+)\.lora_embedding_([AB])(?:\.[^.]+)?$/.exec(rest);
  if (embedding) return { kind: embedding[2] === 'A' ? 'a' : 'b', embedding: true, module: embedding[1]! };
  const tokens = /^(.+)\.token_adapter\.trainable_tokens_delta(?:\.[^.]+)?$/.exec(rest);
  if (tokens) return { kind: 'tokens', module: tokens[1]! };
  if (/\.lora_|\.trainable_tokens|\.token_adapter\./.test(rest)) {
    throw new UnsupportedError('adapter-unsupported', {
      file,
      key: name,
      value: 'a tensor of a LoRA variant',
      remedy: 'Merge it into its base model with PEFT, and use the merged model',
    });
  }
  const saved = /^(.+)\.(?:base_layer|modules_to_save\.[^.]+|original_module)\.([^.]+)$/.exec(rest);
  return { kind: 'saved', parameter: saved ? `${saved[1]}.${saved[2]}` : rest };
}

function idsOf(config: PeftConfig, module: string): readonly number[] | undefined {
  return config.trainableTokens.find((entry) => entry.module === null || `.${module}`.endsWith(`.${entry.module}`))
    ?.ids;
}

function shapeError(file: string, entry: TensorEntry, expected: string): FormatError<'tensor-shape'> {
  return new FormatError('tensor-shape', { file, tensor: entry.name, expected, actual: entry.shape });
}

function pairOf(
  file: string,
  module: string,
  parts: { embedding: boolean; a?: TensorEntry; b?: TensorEntry },
  config: PeftConfig,
): LoraPair<TensorEntry> {
  const { a, b, embedding } = parts;
  if (!a || !b) {
    const [from, to] = a ? ['A', 'B'] : ['B', 'A'];
    throw new FormatError('tensor-missing', {
      file,
      tensor: (a ?? b)!.name.replace(`lora_${from}`, `lora_${to}`).replace(`_${from}`, `_${to}`),
    });
  }
  const rank = rankOf(config, module);
  if (a.shape.length !== 2 || a.shape[0] !== rank || a.shape[1] === 0) throw shapeError(file, a, `[${rank}, in]`);
  if (b.shape.length !== 2 || b.shape[1] !== rank || b.shape[0] === 0) throw shapeError(file, b, `[out, ${rank}]`);
  return { kind: embedding ? 'embedding' : 'linear', rank, inFeatures: a.shape[1]!, outFeatures: b.shape[0]!, a, b };
}

async function requireWeights(folder: string): Promise<string> {
  for (const name of [adapterWeightsName, torchAdapterWeightsName]) {
    const path = join(folder, name);
    if (await isThere(path)) return path;
  }
  const found = await readdir(folder).catch((error: unknown) => {
    throw readError(error, folder);
  });
  throw new FileError('adapter-missing', {
    folder,
    missing: adapterWeightsName,
    found: found.filter((name) => name.startsWith('adapter')),
  });
}

/**
 * Finds the tensors of an adapter folder; reads headers only.
 * @throws FileError `file-unreadable`, `adapter-missing`; UnsupportedError `adapter-unsupported` (an option or a variant's tensor, named);
 *   FormatError for a broken file, a pair without its other half, a shape that does not fit the rank or the token ids.
 */
export async function openPeftAdapter(folder: string): Promise<OpenedPeftAdapter> {
  const config = await readPeftConfig(folder);
  const file = await requireWeights(folder);
  const { tensors } = await openWeightsFile(file);
  const halves = new Map<string, { embedding: boolean; a?: TensorEntry; b?: TensorEntry }>();
  const savedModules = new Map<string, TensorEntry>();
  const tokenRows = new Map<string, TokenRows<TensorEntry>>();
  for (const [name, entry] of tensors) {
    const part = partOf(name, file);
    if (part.kind === 'saved') savedModules.set(part.parameter, entry);
    else if (part.kind === 'tokens') {
      const ids = idsOf(config, part.module);
      if (ids === undefined || entry.shape.length !== 2 || entry.shape[0] !== ids.length) {
        throw shapeError(file, entry, `[${ids?.length ?? 0}, D] (trainable_token_indices)`);
      }
      tokenRows.set(part.module, { ids, rows: entry });
    } else {
      const half = halves.get(part.module) ?? { embedding: part.embedding };
      half[part.kind] = entry;
      halves.set(part.module, half);
    }
  }
  const loraPairs = new Map([...halves].map(([module, parts]) => [module, pairOf(file, module, parts, config)]));
  return { folder, config, loraPairs, savedModules, tokenRows };
}

async function valuesOf(entry: TensorEntry): Promise<ShapedValues> {
  return { shape: entry.shape, values: await readTensor(entry) };
}

/** Values of both halves of a pair, f32. */
export async function readLoraPair(pair: LoraPair<TensorEntry>): Promise<LoraPair<ShapedValues>> {
  return { ...pair, a: await valuesOf(pair.a), b: await valuesOf(pair.b) };
}

/**
 * Reads a whole adapter into memory, f32.
 * @throws as `openPeftAdapter`; FormatError `tensor-dtype`.
 */
export async function readPeftAdapter(folder: string): Promise<PeftAdapter> {
  const opened = await openPeftAdapter(folder);
  const loraPairs = new Map<string, LoraPair<ShapedValues>>();
  for (const [module, pair] of opened.loraPairs) loraPairs.set(module, await readLoraPair(pair));
  const savedModules = new Map<string, ShapedValues>();
  for (const [name, entry] of opened.savedModules) savedModules.set(name, await valuesOf(entry));
  const tokenRows = new Map<string, TokenRows<ShapedValues>>();
  for (const [module, { ids, rows }] of opened.tokenRows) tokenRows.set(module, { ids, rows: await valuesOf(rows) });
  return { folder, config: opened.config, loraPairs, savedModules, tokenRows };
}

/** A trained tensor under the name that it has in PEFT, without `base_model.model.`: `lm_head.weight`, `....q_proj.lora_A.weight`. */
export interface AdapterParameter extends ShapedValues {
  readonly name: string;
}

/** The names of a pair's halves, without `base_model.model.`. */
export function loraParameterNames(module: string, kind: 'linear' | 'embedding' = 'linear'): { a: string; b: string } {
  return kind === 'linear'
    ? { a: `${module}.lora_A.weight`, b: `${module}.lora_B.weight` }
    : { a: `${module}.lora_embedding_A`, b: `${module}.lora_embedding_B` };
}

/** The name of a module's trained token rows, without `base_model.model.`. */
export function tokenRowsParameterName(module: string): string {
  return `${module}.token_adapter.trainable_tokens_delta`;
}

/** All tensors of an adapter under the names that they are stored by. */
export function adapterParameters(adapter: PeftAdapter): AdapterParameter[] {
  const parameters: AdapterParameter[] = [];
  for (const [module, pair] of adapter.loraPairs) {
    const names = loraParameterNames(module, pair.kind);
    parameters.push({ name: names.a, ...pair.a }, { name: names.b, ...pair.b });
  }
  for (const [name, saved] of adapter.savedModules) {
    // Beside a pair, PEFT looks for the module's own weight inside of the wrapper that holds the pair.
    const dot = name.lastIndexOf('.');
    const module = name.slice(0, dot);
    parameters.push({
      name: adapter.loraPairs.has(module) ? `${module}.base_layer${name.slice(dot)}` : name,
      ...saved,
    });
  }
  for (const [module, { rows }] of adapter.tokenRows)
    parameters.push({ name: tokenRowsParameterName(module), ...rows });
  return parameters;
}

/**
 * Writes an adapter folder's weights (f32, metadata `format: pt`) and config, each atomically, the config last.
 * @throws FileError `disk-full`, `file-unwritable`
 */
export async function writePeftAdapter(
  folder: string,
  config: PeftConfig,
  parameters: readonly AdapterParameter[],
): Promise<void> {
  const tensors = parameters.map(({ name, shape, values }) => tensorFromValues(`${prefix}${name}`, shape, values));
  await writeSafetensors(join(folder, adapterWeightsName), tensors);
  await writePeftConfig(folder, config);
}

/** Number of trained values of an adapter. */
export function trainedValues(adapter: OpenedPeftAdapter): number {
  let count = 0;
  for (const { a, b } of adapter.loraPairs.values()) count += elementCount(a.shape) + elementCount(b.shape);
  for (const entry of adapter.savedModules.values()) count += elementCount(entry.shape);
  for (const { rows } of adapter.tokenRows.values()) count += elementCount(rows.shape);
  return count;
}

/** Whether a folder holds an adapter rather than a model. */
export async function isAdapterFolder(folder: string): Promise<boolean> {
  return isThere(join(folder, adapterConfigName));
}
