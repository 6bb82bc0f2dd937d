/**
 * PyTorch files as weights: tensors whose elements lie one after the other are mapped from the file as safetensors are;
 * the few that are views with gaps or in another order (transposed, expanded) are copied once into the cache.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FormatError } from '../errors.ts';
import type { ByteSource } from './byte-source.ts';
import { cachePath } from './cache-folder.ts';
import {
  elementCount,
  openRemoteSafetensors,
  openSafetensors,
  type SafetensorsFile,
  type TensorEntry,
} from './safetensors.ts';
import { writeSafetensors } from './safetensors-writer.ts';
import {
  elementBytes,
  isContiguous,
  openTorchFile,
  readTorchTensors,
  type TorchFile,
  type TorchTensorEntry,
} from './torch-file.ts';

/** Whether a file's name is one that PyTorch's files have. */
export function isTorchFileName(name: string): boolean {
  return /\.(bin|pt|pth)$/.test(name);
}

/**
 * Opens a weights file by its name: safetensors, or PyTorch's.
 * @param source where the file is while it is not on this machine: then only dtypes and shapes are right.
 */
export async function openWeightsFile(path: string, source?: ByteSource): Promise<SafetensorsFile> {
  if (source) return isTorchFileName(path) ? openRemoteTorch(path, source) : openRemoteSafetensors(path, source);
  return isTorchFileName(path) ? openTorchWeights(path) : openSafetensors(path);
}

/**
 * Opens a PyTorch file as if it were safetensors.
 * @throws as `openTorchFile`; FormatError `torch-strided` for a view that repeats elements beyond the file's length; FileError where
 *   the cache cannot be written.
 */
export async function openTorchWeights(path: string): Promise<SafetensorsFile> {
  const opened = await openTorchFile(path);
  const entries: TensorEntry[] = [];
  const strided: TorchTensorEntry[] = [];
  for (const tensor of opened.tensors) {
    const { name, dtype, shape, offset } = tensor;
    const length = elementCount(shape) * elementBytes(dtype);
    if (isContiguous(tensor)) entries.push({ name, dtype, shape, file: opened.file, offset, length });
    else if (length <= opened.size) strided.push(tensor);
    else throw new FormatError('torch-strided', { file: path, tensor: name, bytes: length, maxBytes: opened.size });
  }
  const tensors = new Map(entries.map((entry) => [entry.name, entry]));
  for (const [name, entry] of strided.length > 0 ? await copiesOf(opened, strided) : []) tensors.set(name, entry);
  return { path, tensors, metadata: {} };
}

/** The tensors of a PyTorch file that is elsewhere: their bytes are not looked for. */
async function openRemoteTorch(path: string, source: ByteSource): Promise<SafetensorsFile> {
  const entries = (await readTorchTensors(source, path, true)).map(({ name, dtype, shape, offset }): TensorEntry => {
    const length = elementCount(shape) * elementBytes(dtype);
    return { name, dtype, shape, file: path, offset, length, source };
  });
  return { path, tensors: new Map(entries.map((entry) => [entry.name, entry])), metadata: {} };
}

async function copiesOf(opened: TorchFile, strided: readonly TorchTensorEntry[]): Promise<SafetensorsFile['tensors']> {
  const { size, mtimeNs, ctimeNs, ino } = await stat(opened.file, { bigint: true });
  const key = createHash('sha256').update(`${opened.file}|${size}|${mtimeNs}|${ctimeNs}|${ino}`).digest('hex');
  const folder = cachePath('contiguous');
  const copy = join(folder, `${key}.safetensors`);
  const names = strided.map(({ name }) => name);
  const earlier = await openSafetensors(copy).catch(() => undefined);
  if (earlier && names.every((name) => earlier.tensors.has(name))) return earlier.tensors;
  await mkdir(folder, { recursive: true });
  await writeSafetensors(
    copy,
    strided.map((tensor) => ({
      name: tensor.name,
      dtype: tensor.dtype,
      shape: tensor.shape,
      chunks: () => gather(opened.file, tensor),
    })),
  );
  return (await openSafetensors(copy)).tensors;
}

/** The elements of a view in row-major order, one slice of the first dimension at a time. */
async function* gather(file: string, { dtype, shape, strides, offset }: TorchTensorEntry): AsyncGenerator<Uint8Array> {
  const width = elementBytes(dtype);
  const inner = shape.slice(1);
  const innerStrides = strides.slice(1);
  // the bytes that all slices together reach: read once, since slices of a transposed matrix interleave
  const reach = (lengths: readonly number[], steps: readonly number[]): number =>
    lengths.reduce((sum, length, i) => sum + (length - 1) * steps[i]!, 1) * width;
  const bytes = new Uint8Array(reach(shape, strides));
  const handle = await open(file, 'r');
  try {
    for (let done = 0; done < bytes.length;) {
      const { bytesRead } = await handle.read(bytes, done, Math.min(bytes.length - done, 1 << 30), offset + done);
      if (bytesRead === 0)
        throw new FormatError('torch-file', {
          file,
          requirement: 'the file must stay as it is',
          actual: 'fewer bytes',
        });
      done += bytesRead;
    }
  } finally {
    await handle.close();
  }
  const count = elementCount(inner);
  const out = new Uint8Array(count * width);
  const index = inner.map(() => 0);
  for (let slice = 0; slice < shape[0]!; slice++) {
    let from = slice * strides[0]!;
    index.fill(0);
    for (let i = 0; i < count; i++) {
      for (let byte = 0; byte < width; byte++) out[i * width + byte] = bytes[from * width + byte]!;
      for (let d = inner.length - 1; d >= 0; d--) {
        from += innerStrides[d]!;
        if (++index[d]! < inner[d]!) break;
        from -= inner[d]! * innerStrides[d]!;
        index[d] = 0;
      }
    }
    yield out;
  }
}
