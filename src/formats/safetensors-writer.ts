/**
 * Writing safetensors: one file or shards with an index, streamed tensor by tensor, byte for byte as the safetensors
 * library lays them out. A file appears whole or not at all.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from './atomic-file.ts';
import { requireDiskSpace } from './file-errors.ts';
import { encodeFloats, type FloatDtype } from './half-floats.ts';
import { writeJsonFile } from './json-file.ts';
import { elementCount, readTensorBytes, type TensorEntry } from './safetensors.ts';
import { buildSafetensorsHeader, inStoredOrder, storedBytes, type TensorShape } from './safetensors-header.ts';
import { weightsFileName, weightsIndexName } from './weights-names.ts';

/** A tensor to be written: `chunks` gives its bytes in order when its turn comes. */
export interface TensorSource extends TensorShape {
  readonly chunks: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** Values converted at a time when they are rounded to 16 bits. */
const chunkValues = 1 << 20;

/** f32 values as a tensor to be written, rounded to nearest even where `dtype` has 16 bits. The values are read when written. */
export function tensorFromValues(
  name: string,
  shape: readonly number[],
  values: Float32Array,
  dtype: FloatDtype = 'F32',
): TensorSource {
  if (values.length !== elementCount(shape)) {
    throw new RangeError(`tensor "${name}" of the shape [${shape.join(', ')}] was given ${values.length} values`);
  }
  return {
    name,
    dtype,
    shape,
    *chunks() {
      for (let i = 0; i < values.length; i += chunkValues) {
        yield encodeFloats(values.subarray(i, i + chunkValues), dtype);
      }
    },
  };
}

/** A stored tensor, to be written again as it is. */
export function tensorFromEntry(entry: TensorEntry, name = entry.name): TensorSource {
  return { name, dtype: entry.dtype, shape: entry.shape, chunks: () => readTensorBytes(entry) };
}

/**
 * Writes one safetensors file atomically. Tensors are stored widest dtype first, then by name.
 * @param onTensor called after each tensor with the bytes of all tensors written so far
 * @throws FileError `disk-full` (before the first byte where the system knows), `file-unwritable`; nothing is left half-written.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
  onTensor?: (tensor: TensorShape, bytesWritten: number) => void,
): Promise<void> {
  await writeOrderedSafetensors(path, inStoredOrder(tensors), metadata, onTensor);
}

/** As `writeSafetensors`, with the tensors in the order given: the chunks of one may be known only after those before it. */
export async function writeOrderedSafetensors(
  path: string,
  ordered: readonly TensorSource[],
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
  onTensor?: (tensor: TensorShape, bytesWritten: number) => void,
): Promise<void> {
  const header = buildSafetensorsHeader(ordered, metadata);
  const total = header.length + totalBytes(ordered);
  await requireDiskSpace(path, total);
  await writeAtomically(
    path,
    async (file) => {
      await file.writeFile(header);
      let written = header.length;
      for (const tensor of ordered) {
        const expected = written + storedBytes(tensor.dtype, tensor.shape);
        for await (const chunk of tensor.chunks()) {
          await file.writeFile(chunk);
          written += chunk.length;
        }
        if (written !== expected) {
          throw new RangeError(`tensor "${tensor.name}" gave ${written - expected} bytes more than its shape takes`);
        }
        onTensor?.(tensor, written - header.length);
      }
    },
    total,
  );
}

function totalBytes(tensors: readonly TensorShape[]): number {
  return tensors.reduce((sum, { dtype, shape }) => sum + storedBytes(dtype, shape), 0);
}

/** Splits tensors, in their order, into shards of at most `maxBytes`; a larger tensor gets a shard of its own. */
export function planShards<T extends TensorShape>(tensors: readonly T[], maxBytes: number): T[][] {
  const shards: T[][] = [];
  let current: T[] = [];
  let size = 0;
  for (const tensor of tensors) {
    const bytes = storedBytes(tensor.dtype, tensor.shape);
    if (current.length > 0 && size + bytes > maxBytes) {
      shards.push(current);
      current = [];
      size = 0;
    }
    current.push(tensor);
    size += bytes;
  }
  if (current.length > 0 || shards.length === 0) shards.push(current);
  return shards;
}

/**
 * Writes the weights of a model folder: `model.safetensors`, or shards `model-00001-of-0000N.safetensors` with
 * `model.safetensors.index.json` where they exceed `maxShardBytes`. An index that an earlier checkpoint left is removed.
 * @returns the names of the files written
 * @throws as `writeSafetensors`
 */
export async function writeCheckpoint(
  folder: string,
  tensors: readonly TensorSource[],
  maxShardBytes = Number.POSITIVE_INFINITY,
  onTensor?: (tensor: TensorShape, bytesWritten: number) => void,
): Promise<string[]> {
  const shards = planShards(tensors, maxShardBytes);
  if (shards.length === 1) {
    await writeSafetensors(join(folder, weightsFileName), tensors, { format: 'pt' }, onTensor);
    await rm(join(folder, weightsIndexName), { force: true });
    return [weightsFileName];
  }
  const total = totalBytes(tensors);
  await requireDiskSpace(folder, total);
  const digits = (index: number): string => String(index).padStart(5, '0');
  const names: string[] = [];
  const weightMap: [string, string][] = [];
  let before = 0;
  for (const [index, shard] of shards.entries()) {
    const name = `model-${digits(index + 1)}-of-${digits(shards.length)}.safetensors`;
    await writeSafetensors(join(folder, name), shard, { format: 'pt' }, (tensor, bytes) =>
      onTensor?.(tensor, before + bytes),
    );
    before += totalBytes(shard);
    names.push(name);
    for (const tensor of shard) weightMap.push([tensor.name, name]);
  }
  weightMap.sort(([a], [b]) => (a < b ? -1 : 1));
  const parameters = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  await writeJsonFile(join(folder, weightsIndexName), {
    metadata: { total_parameters: parameters, total_size: total },
    weight_map: Object.fromEntries(weightMap),
  });
  await rm(join(folder, weightsFileName), { force: true });
  return [...names, weightsIndexName];
}
