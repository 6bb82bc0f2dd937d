/**
 * Weights quantised tensor by tensor while they stream in, kept in a file that the next start maps: safetensors with
 * bitsandbytes' names, named by the hash of its contents. A small file beside it remembers which source it was made of.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FormatError } from '../errors.ts';
import {
  cachePath,
  type Checkpoint,
  openSafetensors,
  readTensor,
  storedBytes,
  type TensorEntry,
  type TensorSource,
  writeFileAtomically,
  writeOrderedSafetensors,
} from '../formats/index.ts';
import { type FourBitType, fourBitValues } from '../graph/index.ts';
import {
  dynamicMap,
  fourBitBlockSize,
  nestedBlockSize,
  quantizeEightBit,
  quantizeFourBit,
  quantizeScales,
} from '../quant/index.ts';
import { type Quantization, quantStateName, rowScalesName, turnedName } from './quantization.ts';

/** Grows when files of an earlier version must not be used any more. */
const formatVersion = 1;
/** Values that are quantised at a time: 16 MB of f32. */
const chunkValues = 4 << 20;
/** Room for a weight's metadata, whose length is not known before its offset is. */
const stateBytes = 320;

const bytesOf = (array: Float32Array | Uint8Array | Int8Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** A weight [out, in] that is quantised while it streams in. */
export interface StreamedWeight extends Pick<TensorEntry, 'file' | 'name' | 'dtype' | 'shape'> {
  /** Stretches of its rows as f32, each a whole number of blocks but the last. */
  rows(): AsyncIterable<Float32Array> | Iterable<Float32Array>;
}

/** A tensor of a file as a stream. */
export function streamed(entry: TensorEntry): StreamedWeight {
  const [rows, width] = entry.shape as [number, number];
  // a multiple of 64 rows is a whole number of blocks whatever the width
  const step = Math.max(1, Math.floor(chunkValues / width / fourBitBlockSize)) * fourBitBlockSize;
  const { file, name, dtype, shape } = entry;
  return {
    file,
    name,
    dtype,
    shape,
    async *rows() {
      for (let begin = 0; begin < rows; begin += step) {
        yield await readTensor(entry, { begin, end: Math.min(rows, begin + step) });
      }
    },
  };
}

/** @throws FormatError `tensor-not-finite` for the first scale that is not: a value of its stretch was not. */
export function requireFiniteScales(
  entry: StreamedWeight,
  absmax: Float32Array,
  before: number,
  valuesPerScale: number,
): void {
  const index = absmax.findIndex((value) => !Number.isFinite(value));
  if (index < 0) return;
  throw new FormatError('tensor-not-finite', {
    file: entry.file,
    tensor: entry.name,
    index: (before + index) * valuesPerScale,
    value: String(absmax[index]!),
  });
}

const dtypeNames: Readonly<Record<string, string>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

/** Tensors of one 4-bit weight, codes first: the others are known when all codes have been written. */
function fourBitSources(entry: StreamedWeight, type: FourBitType, doubleQuantization: boolean): TensorSource[] {
  const { name } = entry;
  const [outputs, inputs] = entry.shape as [number, number];
  const count = outputs * inputs;
  const blocks = Math.ceil(count / fourBitBlockSize);
  // made when the codes are, given up with the last tensor: the scales of all weights would be much
  let absmax = new Float32Array(0);
  let scales: ReturnType<typeof quantizeScales> | undefined;
  const nested = (): ReturnType<typeof quantizeScales> => (scales ??= quantizeScales(absmax));
  const floats = (suffix: string, length: number, values: () => Float32Array): TensorSource => ({
    name: `${name}.${suffix}`,
    dtype: 'F32',
    shape: [length],
    chunks: () => [bytesOf(values())],
  });
  const codes: TensorSource = {
    name,
    dtype: 'U8',
    shape: [Math.ceil(count / 2), 1],
    async *chunks() {
      let done = 0;
      absmax = new Float32Array(blocks);
      for await (const values of entry.rows()) {
        const tensor = quantizeFourBit(values, type);
        requireFiniteScales(entry, tensor.absmax, done, fourBitBlockSize);
        absmax.set(tensor.absmax, done);
        done += tensor.absmax.length;
        yield tensor.codes;
      }
    },
  };
  const state = (): Uint8Array => {
    const text = JSON.stringify({
      quant_type: type,
      blocksize: fourBitBlockSize,
      dtype: dtypeNames[entry.dtype],
      shape: [outputs, inputs],
      ...(doubleQuantization
        ? { nested_blocksize: nestedBlockSize, nested_dtype: 'float32', nested_offset: nested().offset }
        : {}),
    });
    return new TextEncoder().encode(text.padEnd(stateBytes));
  };
  const common: TensorSource[] = [
    floats('quant_map', 16, () => fourBitValues[type]),
    { name: quantStateName(name, type), dtype: 'U8', shape: [stateBytes], chunks: () => [state()] },
  ];
  const last = (bytes: Uint8Array): Uint8Array[] => {
    absmax = new Float32Array(0);
    scales = undefined;
    return [bytes];
  };
  if (!doubleQuantization) {
    const scalesOf: TensorSource = {
      name: `${name}.absmax`,
      dtype: 'F32',
      shape: [blocks],
      chunks: () => last(bytesOf(absmax)),
    };
    return [codes, ...common, scalesOf];
  }
  return [
    codes,
    floats('nested_absmax', Math.ceil(blocks / nestedBlockSize), () => nested().absmax),
    floats('nested_quant_map', 256, () => dynamicMap),
    ...common,
    { name: `${name}.absmax`, dtype: 'U8', shape: [blocks], chunks: () => last(nested().codes) },
  ];
}

/** A matrix [rows, width] as [width, rows], some rows of the result at a time. */
function* turned(codes: Int8Array, rows: number, width: number): Generator<Uint8Array> {
  const step = Math.max(1, Math.floor(chunkValues / rows));
  for (let begin = 0; begin < width; begin += step) {
    const count = Math.min(step, width - begin);
    const part = new Int8Array(count * rows);
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < count; i++) part[i * rows + row] = codes[row * width + begin + i]!;
    }
    yield bytesOf(part);
  }
}

function eightBitSources(entry: StreamedWeight, bothWays: boolean): TensorSource[] {
  const [outputs, inputs] = entry.shape as [number, number];
  const absmax = new Float32Array(outputs);
  // one weight's bytes stand in memory until they are written the other way too
  let kept = new Int8Array(0);
  return [
    {
      name: entry.name,
      dtype: 'I8',
      shape: [outputs, inputs],
      async *chunks() {
        let done = 0;
        if (bothWays) kept = new Int8Array(outputs * inputs);
        for await (const values of entry.rows()) {
          const tensor = quantizeEightBit(values, inputs);
          requireFiniteScales(entry, tensor.absmax, done, inputs);
          if (bothWays) kept.set(tensor.codes, done * inputs);
          absmax.set(tensor.absmax, done);
          done += tensor.absmax.length;
          yield bytesOf(tensor.codes);
        }
      },
    },
    ...(bothWays
      ? [
          {
            name: turnedName(entry.name),
            dtype: 'I8' as const,
            shape: [inputs, outputs],
            *chunks() {
              yield* turned(kept, outputs, inputs);
              kept = new Int8Array(0);
            },
          },
        ]
      : []),
    { name: rowScalesName(entry.name), dtype: 'F32', shape: [outputs], chunks: () => [bytesOf(absmax)] },
  ];
}

/** The tensors of a weight in codes, as bitsandbytes names them; to be written in their order. */
export function codeSources(
  weight: StreamedWeight,
  { bits, type, doubleQuantization, bothWays = false }: Quantization,
): TensorSource[] {
  return bits === 8 ? eightBitSources(weight, bothWays) : fourBitSources(weight, type, doubleQuantization);
}

/** Hears how much of the codes is written, 0 to 1; not called where they are there already. */
export type OnCodes = (fraction: number) => void;

/** What the codes are made of, and how: changes when a source file does. */
async function sourceKey(entries: readonly TensorEntry[], recipe: object): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([formatVersion, recipe]));
  for (const file of new Set(entries.map((entry) => entry.file))) {
    const { size, mtimeNs, ctimeNs, ino } = await stat(file, { bigint: true });
    hash.update(`${file}|${size}|${mtimeNs}|${ctimeNs}|${ino}\n`);
  }
  for (const { name, offset } of entries) hash.update(`${name}|${offset}\n`);
  return hash.digest('hex');
}

async function openCached(file: string, names: readonly string[]): Promise<Checkpoint['tensors'] | undefined> {
  try {
    const { tensors } = await openSafetensors(file);
    return names.every((name) => tensors.has(name)) ? tensors : undefined;
  } catch {
    // missing or damaged: it is made again
    return undefined;
  }
}

/**
 * The tensors of the weights in codes, mapped from the cache (FETTLE_CACHE, else ~/.cache/fettle); made first where they
 * are not there.
 * @throws FileError where the cache cannot be written; FormatError `tensor-not-finite`.
 */
export async function quantizedTensors(
  entries: readonly TensorEntry[],
  quantization: Quantization,
  onProgress?: OnCodes,
): Promise<Checkpoint['tensors']> {
  const names = entries.map(({ name }) => name);
  return cachedTensors(
    entries,
    quantization,
    names,
    () => entries.flatMap((entry) => codeSources(streamed(entry), quantization)),
    onProgress,
  );
}

/**
 * Tensors that are made of the entries by a recipe (JSON that says all that matters), mapped from the cache; written there
 * first where they are not.
 * @throws FileError where the cache cannot be written.
 */
export async function cachedTensors(
  entries: readonly TensorEntry[],
  recipe: object,
  names: readonly string[],
  make: () => readonly TensorSource[],
  onProgress?: OnCodes,
): Promise<Checkpoint['tensors']> {
  const folder = cachePath('quantized');
  const key = await sourceKey(entries, recipe);
  const pointer = join(folder, 'sources', key);
  const known = await readFile(pointer, 'utf8').catch(() => '');
  if (/^[0-9a-f]{64}$/.test(known)) {
    const tensors = await openCached(join(folder, `${known}.safetensors`), names);
    if (tensors) return tensors;
  }
  await mkdir(folder, { recursive: true });
  const contents = createHash('sha256');
  const sources = make();
  const total = sources.reduce((sum, { dtype, shape }) => sum + storedBytes(dtype, shape), 0);
  let written = 0;
  const hashed = sources.map((source): TensorSource => ({
    ...source,
    async *chunks() {
      contents.update(`${source.name}\0${source.dtype}\0${source.shape.join()}\0`);
      for await (const chunk of source.chunks()) {
        contents.update(chunk);
        yield chunk;
        written += chunk.length;
        onProgress?.(written / total);
      }
    },
  }));
  const made = join(folder, `${key}.safetensors`);
  await writeOrderedSafetensors(made, hashed);
  const digest = contents.digest('hex');
  const file = join(folder, `${digest}.safetensors`);
  await rename(made, file);
  await writeFileAtomically(pointer, digest);
  return (await openSafetensors(file)).tensors;
}
