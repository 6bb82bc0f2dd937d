/**
 * Weights quantised tensor by tensor while they stream in, kept in a file that the next start maps: safetensors with
 * bitsandbytes' names, named by the hash of its contents. A small file beside it remembers which source it was made of.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { FormatError } from '../errors.ts';
import {
  type Checkpoint,
  openSafetensors,
  readTensor,
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
import { type Quantization, quantStateName, rowScalesName } from './quantization.ts';

/** Grows when files of an earlier version must not be used any more. */
const formatVersion = 1;
/** Values that are quantised at a time: 16 MB of f32. */
const chunkValues = 4 << 20;
/** Room for a weight's metadata, whose length is not known before its offset is. */
const stateBytes = 320;

function cacheFolder(): string {
  const root =
    process.env['FETTLE_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'fettle');
  return join(root, 'quantized');
}

const bytesOf = (array: Float32Array | Uint8Array | Int8Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Stretches of a weight's rows as f32, each a whole number of blocks but the last. */
async function* rowsOf(entry: TensorEntry): AsyncGenerator<Float32Array> {
  const [rows, width] = entry.shape as [number, number];
  // a multiple of 64 rows is a whole number of blocks whatever the width
  const step = Math.max(1, Math.floor(chunkValues / width / fourBitBlockSize)) * fourBitBlockSize;
  for (let begin = 0; begin < rows; begin += step) {
    yield await readTensor(entry, { begin, end: Math.min(rows, begin + step) });
  }
}

function requireFiniteScales(entry: TensorEntry, absmax: Float32Array, before: number, valuesPerScale: number): void {
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
function fourBitSources(entry: TensorEntry, type: FourBitType, doubleQuantization: boolean): TensorSource[] {
  const { name } = entry;
  const [outputs, inputs] = entry.shape as [number, number];
  const count = outputs * inputs;
  const absmax = new Float32Array(Math.ceil(count / fourBitBlockSize));
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
      for await (const values of rowsOf(entry)) {
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
  if (!doubleQuantization) return [codes, floats('absmax', absmax.length, () => absmax), ...common];
  return [
    codes,
    floats('nested_absmax', Math.ceil(absmax.length / nestedBlockSize), () => nested().absmax),
    floats('nested_quant_map', 256, () => dynamicMap),
    ...common,
    { name: `${name}.absmax`, dtype: 'U8', shape: [absmax.length], chunks: () => [nested().codes] },
  ];
}

function eightBitSources(entry: TensorEntry): TensorSource[] {
  const [outputs, inputs] = entry.shape as [number, number];
  const absmax = new Float32Array(outputs);
  return [
    {
      name: entry.name,
      dtype: 'I8',
      shape: [outputs, inputs],
      async *chunks() {
        let done = 0;
        for await (const values of rowsOf(entry)) {
          const tensor = quantizeEightBit(values, inputs);
          requireFiniteScales(entry, tensor.absmax, done, inputs);
          absmax.set(tensor.absmax, done);
          done += tensor.absmax.length;
          yield bytesOf(tensor.codes);
        }
      },
    },
    { name: rowScalesName(entry.name), dtype: 'F32', shape: [outputs], chunks: () => [bytesOf(absmax)] },
  ];
}

/** What the codes are made of, and how: changes when a source file does. */
async function sourceKey(entries: readonly TensorEntry[], quantization: Quantization): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([formatVersion, quantization]));
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
): Promise<Checkpoint['tensors']> {
  const folder = cacheFolder();
  const key = await sourceKey(entries, quantization);
  const names = entries.map(({ name }) => name);
  const pointer = join(folder, 'sources', key);
  const known = await readFile(pointer, 'utf8').catch(() => '');
  if (/^[0-9a-f]{64}$/.test(known)) {
    const tensors = await openCached(join(folder, `${known}.safetensors`), names);
    if (tensors) return tensors;
  }
  await mkdir(folder, { recursive: true });
  const contents = createHash('sha256');
  const { bits, type, doubleQuantization } = quantization;
  const sources = entries.flatMap((entry) =>
    bits === 8 ? eightBitSources(entry) : fourBitSources(entry, type, doubleQuantization),
  );
  const hashed = sources.map((source): TensorSource => ({
    ...source,
    async *chunks() {
      contents.update(`${source.name}\0${source.dtype}\0${source.shape.join()}\0`);
      for await (const chunk of source.chunks()) {
        contents.update(chunk);
        yield chunk;
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
