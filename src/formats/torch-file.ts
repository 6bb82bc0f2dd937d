/**
 * Reading PyTorch's own files (`pytorch_model.bin`, `.pt`, `.pth`): where each tensor lies, without running anything that the
 * file says. Both forms: the zip archive (torch 1.6 and later) and the legacy one (pickles, then storages one after the other).
 */
import { open, realpath } from 'node:fs/promises';
import { endianness } from 'node:os';
import { FormatError, UnsupportedError } from '../errors.ts';
import { type ByteSource, fileSource } from './byte-source.ts';
import { readError } from './file-errors.ts';
import { FileFault } from './file-fault.ts';
import { describeValue, type PickleDict, type PickleValue, readPickle } from './pickle.ts';
import { type StoredDtype, storedBytes } from './safetensors-header.ts';
import { TorchStorage, TorchTensor, torchWorld, UnsafeNameError } from './torch-pickle.ts';
import { locateRecord, readZipRecords, type ZipRecord } from './zip-records.ts';

/** A tensor of a PyTorch file: a view of bytes in it. */
export interface TorchTensorEntry {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  /** In elements. Row-major without gaps where `isContiguous` says so. */
  readonly strides: readonly number[];
  /** Bytes from the file's beginning to the view's first element. */
  readonly offset: number;
}

/** The pickle of a file: 100,000 tensors take about 15 MB. */
const maxPickleBytes = 64 * 1024 * 1024;
/** Of a legacy file that is elsewhere so much is read first: the pickles of a model of 10,000 tensors. */
const firstPickleBytes = 1024 * 1024;
const legacyMagic = 0x1950a86a20f9469cfc6cn;
const legacyProtocol = 1001;

/** Whether a tensor's elements lie one after the other, as safetensors has them. */
export function isContiguous({ shape, strides }: Pick<TorchTensorEntry, 'shape' | 'strides'>): boolean {
  if (shape.includes(0)) return true;
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i]!;
  }
  return true;
}

/** Bytes of one element. */
export function elementBytes(dtype: StoredDtype): number {
  return storedBytes(dtype, [1]);
}

type Located = ReadonlyMap<string, { readonly offset: number; readonly length: number }>;

function bytesOfStorage(storage: TorchStorage): number {
  return storage.count * (storage.dtype === undefined ? 1 : elementBytes(storage.dtype));
}

/** The dictionary of tensors that a file holds: itself, or the one that training programs keep under `state_dict`. */
function tensorsOf(value: PickleValue): ReadonlyMap<string, TorchTensor> {
  let dict: PickleValue | undefined = value;
  if (dict instanceof Map && dict.get('state_dict') instanceof Map) dict = dict.get('state_dict') as PickleDict;
  if (!(dict instanceof Map)) {
    throw new FileFault('the file must hold a dictionary of tensors', describeValue(value));
  }
  const tensors = new Map<string, TorchTensor>();
  for (const [name, tensor] of dict) {
    if (typeof name !== 'string' || !(tensor instanceof TorchTensor)) {
      throw new FileFault(`entry ${describeValue(name)} must be a tensor with a name`, describeValue(tensor));
    }
    tensors.set(name, tensor);
  }
  return tensors;
}

function entriesOf(tensors: ReadonlyMap<string, TorchTensor>, located: Located): TorchTensorEntry[] {
  return [...tensors].map(([name, { storage, dtype, offset, shape, strides }]) => {
    const place = located.get(storage.key);
    const begin = storage.start * (storage.dtype === undefined ? 1 : elementBytes(storage.dtype));
    const bytes = begin + bytesOfStorage(storage);
    if (!place || bytes > place.length) {
      throw new FileFault(
        `the storage of ${JSON.stringify(name.slice(0, 100))} must have ${bytes} bytes`,
        place ? `${place.length}` : 'none',
      );
    }
    return { name, dtype, shape, strides, offset: place.offset + begin + offset * elementBytes(dtype) };
  });
}

async function readZip(source: ByteSource, shapesOnly: boolean): Promise<TorchTensorEntry[]> {
  const records = await readZipRecords(source);
  const pickles = [...records.keys()].filter((name) => name === 'data.pkl' || name.endsWith('/data.pkl'));
  if (pickles.length !== 1) throw new FileFault('the archive must hold one data.pkl', String(pickles.length));
  const root = pickles[0]!.slice(0, -'data.pkl'.length);
  if (records.has(`${root}constants.pkl`)) {
    throw new FileFault('the archive must hold tensors only', 'a TorchScript program (constants.pkl)');
  }
  const textOf = async (record: ZipRecord | undefined): Promise<string | undefined> => {
    if (!record || record.length > 64) return undefined;
    const bytes = await source.read(await locateRecord(source, record), record.length);
    return new TextDecoder().decode(bytes).trim();
  };
  const order = await textOf(records.get(`${root}byteorder`));
  if (order !== undefined && order !== 'little') throw new FileFault('the byte order must be little', order);
  const pickle = records.get(pickles[0]!)!;
  if (pickle.length > maxPickleBytes) {
    throw new FileFault(`data.pkl may have ${maxPickleBytes} bytes`, `${pickle.length} bytes`);
  }
  const bytes = await source.read(await locateRecord(source, pickle), pickle.length);
  const tensors = tensorsOf(readPickle(bytes, 0, torchWorld).value);
  const located = new Map<string, { offset: number; length: number }>();
  for (const { storage } of tensors.values()) {
    const record = records.get(`${root}data/${storage.key}`);
    if (!record || located.has(storage.key)) continue;
    const offset = shapesOnly ? record.offset : await locateRecord(source, record);
    located.set(storage.key, { offset, length: record.length });
  }
  return entriesOf(tensors, located);
}

async function readLegacy(source: ByteSource, shapesOnly: boolean): Promise<TorchTensorEntry[]> {
  if (!shapesOnly || source.size <= firstPickleBytes) return readLegacyFrom(source, maxPickleBytes, shapesOnly);
  try {
    return await readLegacyFrom(source, firstPickleBytes, shapesOnly);
  } catch (error) {
    // its pickles may be longer than what was read of them
    if (!(error instanceof FileFault)) throw error;
    return readLegacyFrom(source, maxPickleBytes, shapesOnly);
  }
}

async function readLegacyFrom(source: ByteSource, most: number, shapesOnly: boolean): Promise<TorchTensorEntry[]> {
  const bytes = await source.read(0, Math.min(source.size, most));
  const magic = readPickle(bytes, 0, torchWorld);
  if (magic.value !== legacyMagic)
    throw new FileFault("the file must begin with torch's mark", describeValue(magic.value));
  const protocol = readPickle(bytes, magic.end, torchWorld);
  if (protocol.value !== legacyProtocol) {
    throw new FileFault(`the protocol must be ${legacyProtocol}`, describeValue(protocol.value));
  }
  const system = readPickle(bytes, protocol.end, torchWorld);
  if (!(system.value instanceof Map) || system.value.get('little_endian') !== true) {
    throw new FileFault('the byte order must be little', describeValue(system.value));
  }
  const object = readPickle(bytes, system.end, torchWorld);
  const keys = readPickle(bytes, object.end, torchWorld);
  const tensors = tensorsOf(object.value);
  if (!Array.isArray(keys.value)) throw new FileFault('the storages must be listed', describeValue(keys.value));
  const widths = new Map<string, number>();
  for (const { storage } of tensors.values()) {
    widths.set(storage.key, storage.dtype === undefined ? 1 : elementBytes(storage.dtype));
  }
  const located = new Map<string, { offset: number; length: number }>();
  let position = keys.end;
  for (const key of keys.value) {
    const width = typeof key === 'string' ? widths.get(key) : undefined;
    if (typeof key !== 'string' || width === undefined || located.has(key)) {
      throw new FileFault('every storage must belong to a tensor, once', describeValue(key));
    }
    if (shapesOnly) {
      // what lies between the storages is not read; that they fit is seen when the file is there
      located.set(key, { offset: position, length: source.size });
      continue;
    }
    const head = position + 8 <= source.size ? await source.read(position, 8) : new Uint8Array(0);
    if (head.length < 8) throw new FileFault('every storage must be there', 'a file that ends before');
    const count = Number(new DataView(head.buffer, head.byteOffset, 8).getBigInt64(0, true));
    const length = count * width;
    if (!(count >= 0) || position + 8 + length > source.size) {
      throw new FileFault(`a storage must lie inside of the file's ${source.size} bytes`, `${length} bytes`);
    }
    located.set(key, { offset: position + 8, length });
    position += 8 + length;
  }
  return entriesOf(tensors, located);
}

/**
 * Where the tensors of a PyTorch file lie, in its own order.
 * @param file how errors call it
 * @param shapesOnly reads dtypes and shapes, not where the tensors lie (their `offset` is then no place in the file): two or
 *   three reads in place of one a tensor, for files that are elsewhere
 * @throws FormatError `torch-file` for anything that is no file of tensors, `torch-unsafe` with the name that it mentions.
 */
export async function readTorchTensors(
  source: ByteSource,
  file: string,
  shapesOnly = false,
): Promise<TorchTensorEntry[]> {
  try {
    const head = await source.read(0, Math.min(4, source.size));
    const isZip = head.length === 4 && head[0] === 0x50 && head[1] === 0x4b && head[2] === 3 && head[3] === 4;
    return await (isZip ? readZip : readLegacy)(source, shapesOnly);
  } catch (error) {
    if (error instanceof UnsafeNameError) throw new FormatError('torch-unsafe', { file, global: error.global });
    if (error instanceof FileFault) {
      throw new FormatError('torch-file', { file, requirement: error.requirement, actual: error.actual });
    }
    throw error;
  }
}

/** A PyTorch file: where its tensors lie. */
export interface TorchFile {
  /** The path it was opened by. */
  readonly path: string;
  /** The file with symbolic links resolved. */
  readonly file: string;
  readonly size: number;
  readonly tensors: readonly TorchTensorEntry[];
}

/**
 * Opens a PyTorch file; reads what describes its tensors, not their values.
 * @throws FileError `file-unreadable`; FormatError as `readTorchTensors`; UnsupportedError `big-endian`.
 */
export async function openTorchFile(path: string): Promise<TorchFile> {
  if (endianness() !== 'LE') throw new UnsupportedError('big-endian', { byteOrder: endianness() });
  try {
    const handle = await open(path, 'r');
    try {
      const source = await fileSource(handle);
      return { path, file: await realpath(path), size: source.size, tensors: await readTorchTensors(source, path) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw readError(error, path);
  }
}
