/**
 * Reading safetensors files: where each tensor lies, without reading it, and tensors or rows of them as f32. Weights are
 * mapped by the runtime from the place that a `TensorEntry` names; nothing here keeps them in memory.
 */
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { endianness } from 'node:os';
import { FormatError, UnsupportedError } from '../errors.ts';
import { type ByteSource, fileSource } from './byte-source.ts';
import { readError } from './file-errors.ts';
import { decodeFloats, type FloatDtype, indexOfNonFinite } from './half-floats.ts';
import { parseSafetensorsHeader, readHeaderLength, type StoredDtype } from './safetensors-header.ts';

/** Where a tensor is stored. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  /** The file with symbolic links resolved (a Hugging Face cache is made of them). */
  readonly file: string;
  /** Bytes from the file's beginning. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** Where its bytes are read from while the file is not on this machine. */
  readonly source?: ByteSource;
}

/** The content list of one safetensors file. */
export interface SafetensorsFile {
  /** The path it was opened by. */
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Bytes read at a time: large enough for disk speed, small beside any model. */
const chunkBytes = 8 * 1024 * 1024;

/** Whether values of this dtype can be read as f32. */
export function isFloatDtype(dtype: StoredDtype): dtype is FloatDtype {
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
}

/** Number of elements of a shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

async function readFully(handle: FileHandle, target: Uint8Array, offset: number, file: string): Promise<void> {
  let done = 0;
  while (done < target.length) {
    const { bytesRead } = await handle.read(target, done, Math.min(target.length - done, 1 << 30), offset + done);
    if (bytesRead === 0) {
      throw new FormatError('safetensors-length', {
        file,
        expectedBytes: offset + target.length,
        actualBytes: offset + done,
      });
    }
    done += bytesRead;
  }
}

async function withFile<T>(path: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  try {
    const handle = await open(path, 'r');
    try {
      return await use(handle);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw readError(error, path);
  }
}

/**
 * Reads and checks the header of a safetensors file, not its data.
 * @throws FileError `file-unreadable`; FormatError as `parseSafetensorsHeader`.
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  return withFile(path, async (handle) => {
    const { tensors, metadata } = await readHeader(await fileSource(handle), path, await realpath(path));
    return { path, tensors: new Map(tensors.map((entry) => [entry.name, entry])), metadata };
  });
}

async function readHeader(
  source: ByteSource,
  path: string,
  file: string,
): Promise<{ tensors: TensorEntry[]; metadata: SafetensorsFile['metadata'] }> {
  const { size } = source;
  const length = readHeaderLength(await source.read(0, Math.min(8, size)), size, path);
  const header = await source.read(8, length);
  if (header.length < length) {
    throw new FormatError('safetensors-length', {
      file,
      expectedBytes: 8 + length,
      actualBytes: 8 + header.length,
    });
  }
  const { tensors, metadata, dataOffset } = parseSafetensorsHeader(header, size, path);
  const entries = tensors.map(({ name, dtype, shape, begin, end }): TensorEntry => ({
    name,
    dtype,
    shape,
    file,
    offset: dataOffset + begin,
    length: end - begin,
  }));
  return { tensors: entries, metadata };
}

/**
 * As `openSafetensors` for a file that is elsewhere: reads its header from `source` and nothing else.
 * @param path where the file would stand on this machine
 * @throws FormatError as `parseSafetensorsHeader`, and what the source throws.
 */
export async function openRemoteSafetensors(path: string, source: ByteSource): Promise<SafetensorsFile> {
  const { tensors, metadata } = await readHeader(source, path, path);
  return { path, tensors: new Map(tensors.map((entry) => [entry.name, { ...entry, source }])), metadata };
}

function requireFloat(entry: TensorEntry): FloatDtype {
  if (endianness() !== 'LE') throw new UnsupportedError('big-endian', { byteOrder: endianness() });
  if (isFloatDtype(entry.dtype)) return entry.dtype;
  throw new FormatError('tensor-dtype', {
    file: entry.file,
    tensor: entry.name,
    dtype: entry.dtype,
    allowed: ['F32', 'F16', 'BF16'],
  });
}

/** A range of rows (the first dimension) of a tensor: [begin, end). */
export interface RowRange {
  readonly begin: number;
  readonly end: number;
}

function byteRange(entry: TensorEntry, rows: RowRange | undefined): { offset: number; length: number } {
  if (rows === undefined) return { offset: entry.offset, length: entry.length };
  const count = entry.shape[0] ?? 1;
  if (!(rows.begin >= 0 && rows.begin <= rows.end && rows.end <= count)) {
    throw new RangeError(`rows ${rows.begin} to ${rows.end} of "${entry.name}", which has ${count}`);
  }
  const rowBytes = count === 0 ? 0 : entry.length / count;
  return { offset: entry.offset + rows.begin * rowBytes, length: (rows.end - rows.begin) * rowBytes };
}

/**
 * Reads a tensor, or some of its rows, as f32 (row-major).
 * @throws FileError `file-unreadable`; FormatError `tensor-dtype` for anything but F32, F16, BF16.
 */
export async function readTensor(entry: TensorEntry, rows?: RowRange): Promise<Float32Array> {
  const dtype = requireFloat(entry);
  const { offset, length } = byteRange(entry, rows);
  const width = dtype === 'F32' ? 4 : 2;
  const values = new Float32Array(length / width);
  await withFile(entry.file, async (handle) => {
    if (dtype === 'F32') {
      await readFully(handle, new Uint8Array(values.buffer), offset, entry.file);
      return;
    }
    const buffer = new Uint8Array(Math.min(length, chunkBytes));
    for (let done = 0; done < length; done += chunkBytes) {
      const chunk = buffer.subarray(0, Math.min(chunkBytes, length - done));
      await readFully(handle, chunk, offset + done, entry.file);
      decodeFloats(chunk, dtype, values.subarray(done / 2, (done + chunk.length) / 2));
    }
  });
  return values;
}

/** Reads a tensor's bytes as they are stored, in chunks; each chunk is valid until the next is asked for. */
export async function* readTensorBytes(entry: TensorEntry): AsyncGenerator<Uint8Array> {
  if (entry.source) {
    for (let done = 0; done < entry.length; done += chunkBytes) {
      yield entry.source.read(entry.offset + done, Math.min(chunkBytes, entry.length - done));
    }
    return;
  }
  let handle: FileHandle;
  try {
    handle = await open(entry.file, 'r');
  } catch (error) {
    throw readError(error, entry.file);
  }
  try {
    const buffer = new Uint8Array(Math.min(entry.length, chunkBytes));
    for (let done = 0; done < entry.length; done += chunkBytes) {
      const chunk = buffer.subarray(0, Math.min(chunkBytes, entry.length - done));
      await readFully(handle, chunk, entry.offset + done, entry.file);
      yield chunk;
    }
  } finally {
    await handle.close();
  }
}

/** Whether two stored tensors have the same dtype, shape and bytes. */
export async function bytesEqual(a: TensorEntry, b: TensorEntry): Promise<boolean> {
  if (a.dtype !== b.dtype || a.length !== b.length || a.shape.join() !== b.shape.join()) return false;
  const other = readTensorBytes(b);
  try {
    for await (const chunk of readTensorBytes(a)) {
      const next = await other.next();
      if (next.done === true || Buffer.compare(chunk, next.value) !== 0) return false;
    }
    return true;
  } finally {
    await other.return(undefined);
  }
}

/** The value of one stored element as text, for an error. */
function elementText(bytes: Uint8Array, dtype: FloatDtype, index: number): string {
  const width = dtype === 'F32' ? 4 : 2;
  const value = new Float32Array(1);
  decodeFloats(bytes.slice(index * width, (index + 1) * width), dtype, value);
  return String(value[0]);
}

/**
 * Reads tensors through once and refuses numbers that are not finite; tensors that are no floats are left out.
 * @throws FormatError `tensor-not-finite` with the tensor, the index of the element and its value.
 */
export async function requireFiniteTensors(entries: Iterable<TensorEntry>): Promise<void> {
  for (const entry of entries) {
    if (!isFloatDtype(entry.dtype)) continue;
    let before = 0;
    for await (const chunk of readTensorBytes(entry)) {
      const index = indexOfNonFinite(chunk, entry.dtype);
      if (index >= 0) {
        throw new FormatError('tensor-not-finite', {
          file: entry.file,
          tensor: entry.name,
          index: before + index,
          value: elementText(chunk, entry.dtype, index),
        });
      }
      before += chunk.length / (entry.dtype === 'F32' ? 4 : 2);
    }
  }
}
