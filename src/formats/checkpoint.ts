/** The weights of a Hugging Face model folder: one model.safetensors or pytorch_model.bin, or shards with their index. */
import { readdir } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { FileError, FormatError } from '../errors.ts';
import type { RemoteFiles } from './byte-source.ts';
import { withExpandedFloats } from './eight-bit-floats.ts';
import { readError } from './file-errors.ts';
import { isThere } from './is-there.ts';
import { readJsonObject } from './json-file.ts';
import { isJsonObject } from './json-text.ts';
import type { TensorEntry } from './safetensors.ts';
import { openWeightsFile } from './torch-weights.ts';
import { torchWeightsFileName, torchWeightsIndexName, weightsFileName, weightsIndexName } from './weights-names.ts';

/** The forms that are looked for, in transformers' order: file and index. */
const forms = [
  { file: weightsFileName, index: weightsIndexName },
  { file: torchWeightsFileName, index: torchWeightsIndexName },
] as const;

/** Largest index that is read: 100,000 tensors take about 12 MB. */
const maxIndexBytes = 64 * 1024 * 1024;
/** More shards than any model has; bounds the number of files that a hostile index makes us open. */
const maxShards = 10_000;

/** Where every tensor of a model lies. */
export interface Checkpoint {
  readonly folder: string;
  /** In the order of the files and of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Bytes of all tensors. */
  readonly totalBytes: number;
  /** Metadata of the (first) file. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Names of weight files of other kinds, so that the error can say what is there instead. */
async function otherWeights(folder: string): Promise<string[]> {
  try {
    const names = await readdir(folder);
    return names.filter((name) => /\.(safetensors|bin|pt|pth|gguf|h5|msgpack|onnx)$/.test(name)).sort();
  } catch (error) {
    throw readError(error, folder);
  }
}

function isInsideFolder(shard: string): boolean {
  if (shard === '' || shard.includes('\0') || shard.includes('\\') || posix.isAbsolute(shard)) return false;
  if (/^[A-Za-z]:/.test(shard)) return false;
  return !shard.split('/').includes('..');
}

/** The index's weight_map: shard -> tensors that it must hold, shards in the order of their names. */
async function readIndex(path: string): Promise<Map<string, string[]>> {
  const index = await readJsonObject(path, maxIndexBytes);
  const map = Object.hasOwn(index, 'weight_map') ? index['weight_map'] : undefined;
  if (!isJsonObject(map)) {
    const actual = map === undefined ? 'nothing' : JSON.stringify(map).slice(0, 60);
    throw new FormatError('json-value', {
      file: path,
      key: 'weight_map',
      requirement: 'an object from tensor names to file names',
      actual,
    });
  }
  const shards = new Map<string, string[]>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard !== 'string' || !isInsideFolder(shard)) {
      const shown = typeof shard === 'string' ? shard : JSON.stringify(shard);
      throw new FormatError('shard-path', { file: path, shard: shown, tensor });
    }
    const names = shards.get(shard);
    if (names) names.push(tensor);
    else shards.set(shard, [tensor]);
    if (shards.size > maxShards) {
      throw new FormatError('json-value', {
        file: path,
        key: 'weight_map',
        requirement: `a map to at most ${maxShards} files`,
        actual: 'more',
      });
    }
  }
  return new Map([...shards].sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function openShards(folder: string, indexPath: string, remote: RemoteFiles): Promise<Checkpoint> {
  const shards = await readIndex(indexPath);
  const missing: string[] = [];
  for (const shard of shards.keys()) {
    if (!remote.has(shard) && !(await isThere(join(folder, shard)))) missing.push(shard);
  }
  if (missing.length > 0) {
    const shard = missing[0]!;
    throw new FormatError('shard-missing', {
      file: indexPath,
      shard,
      tensor: shards.get(shard)![0]!,
      missing: missing.length,
    });
  }
  const tensors = new Map<string, TensorEntry>();
  const shardOf = new Map<string, string>();
  let metadata: Readonly<Record<string, string>> = {};
  for (const [shard, expected] of shards) {
    const file = await openWeightsFile(join(folder, shard), remote.get(shard));
    if (tensors.size === 0) metadata = file.metadata;
    for (const tensor of expected) {
      if (!file.tensors.has(tensor)) throw new FormatError('shard-lacks-tensor', { file: indexPath, shard, tensor });
    }
    for (const [name, entry] of file.tensors) {
      const first = shardOf.get(name);
      if (first !== undefined) {
        throw new FormatError('tensor-in-two-shards', { file: indexPath, tensor: name, first, second: shard });
      }
      shardOf.set(name, shard);
      tensors.set(name, entry);
    }
  }
  return { folder, tensors, totalBytes: sumLengths(tensors), metadata };
}

function sumLengths(tensors: ReadonlyMap<string, TensorEntry>): number {
  let total = 0;
  for (const { length } of tensors.values()) total += length;
  return total;
}

/**
 * Finds every tensor of a model folder; reads headers only. Where several forms stand, safetensors come before PyTorch's files and a
 * single file before shards, as in transformers. Tensors in 8-bit floats are given as bf16 copies in the cache.
 * @param remote files that are not in the folder: of these dtypes and shapes are known, and no copies are made
 * @throws FileError `file-unreadable`, `weights-missing`; FormatError for a broken header, a missing shard (named, with a tensor that
 *   it should hold), a shard outside of the folder, a tensor that the index promises and its shard lacks, or one in two shards.
 */
export async function openCheckpoint(folder: string, remote: RemoteFiles = new Map()): Promise<Checkpoint> {
  for (const form of forms) {
    const single = join(folder, form.file);
    if (remote.has(form.file) || (await isThere(single))) {
      const { tensors, metadata } = await openWeightsFile(single, remote.get(form.file));
      return withExpandedFloats({ folder, tensors, totalBytes: sumLengths(tensors), metadata });
    }
    const index = join(folder, form.index);
    if (await isThere(index)) return withExpandedFloats(await openShards(folder, index, remote));
  }
  throw new FileError('weights-missing', { folder, found: await otherWeights(folder) });
}

/**
 * A tensor that must be there.
 * @throws FormatError `tensor-missing`.
 */
export function requireTensor(checkpoint: Checkpoint, name: string): TensorEntry {
  const entry = checkpoint.tensors.get(name);
  if (!entry) throw new FormatError('tensor-missing', { file: checkpoint.folder, tensor: name });
  return entry;
}
