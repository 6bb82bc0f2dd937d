/**
 * Weights published as 8-bit floats (f8_e4m3), with or without scales: copied once into the cache as bf16, which every f8 value fits
 * into, and mapped from there. With scales the product is rounded once to bf16, as the publishers' own conversions do.
 * Sources: OCP 8-bit Floating Point Specification 1.0 (E4M3); DeepSeek-V3 `weight_scale_inv` (blocks), compressed-tensors
 * `weight_scale` (per tensor or row).
 */
import { createHash } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FormatError } from '../errors.ts';
import { cachePath } from './cache-folder.ts';
import type { Checkpoint } from './checkpoint.ts';
import { encodeFloats } from './half-floats.ts';
import { readJsonObject } from './json-file.ts';
import { isJsonObject } from './json-text.ts';
import { elementCount, openSafetensors, readTensor, readTensorBytes, type TensorEntry } from './safetensors.ts';
import { type TensorSource, writeSafetensors } from './safetensors-writer.ts';

/** Grows when copies of an earlier version must not be used any more. */
const copyVersion = 1;

let table: Float32Array | undefined;

/** The values of the 256 f8_e4m3 codes: 4 bits of exponent with bias 7, 3 of mantissa, no infinity, NaN at 0x7f and 0xff. */
export function float8Values(): Float32Array {
  if (table) return table;
  const values = new Float32Array(256);
  for (let code = 0; code < 256; code++) {
    const exponent = (code >> 3) & 15;
    const mantissa = code & 7;
    const size = exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10);
    values[code] = (code & 0x7f) === 0x7f ? Number.NaN : code < 128 ? size : -size;
  }
  return (table = values);
}

/** What multiplies each value: one number, one a row, or one a block of rows and columns. */
interface Scale {
  readonly values: Float32Array;
  readonly blockRows: number;
  readonly blockColumns: number;
  readonly columns: number;
}

const scaleSuffixes = ['_scale_inv', '_scale'] as const;

async function blockSizeOf(folder: string): Promise<readonly [number, number]> {
  const config = await readJsonObject(join(folder, 'config.json')).catch(() => ({}));
  const quantization = 'quantization_config' in config ? config['quantization_config'] : undefined;
  const block = isJsonObject(quantization) ? quantization['weight_block_size'] : undefined;
  const [rows, columns] = Array.isArray(block) ? block : [128, 128];
  return typeof rows === 'number' && typeof columns === 'number' && rows >= 1 && columns >= 1
    ? [rows, columns]
    : [128, 128];
}

async function readScale(weight: TensorEntry, entry: TensorEntry, block: readonly [number, number]): Promise<Scale> {
  const values = await readTensor(entry);
  const [rows, columns] = [weight.shape[0] ?? 1, elementCount(weight.shape.slice(1))];
  if (values.length === 1) return { values, blockRows: rows, blockColumns: columns, columns: 1 };
  if (values.length === rows) return { values, blockRows: 1, blockColumns: columns, columns: 1 };
  const [blockRows, blockColumns] = block;
  const across = Math.ceil(columns / blockColumns);
  if (entry.shape[0] === Math.ceil(rows / blockRows) && entry.shape[1] === across) {
    return { values, blockRows, blockColumns, columns: across };
  }
  throw new FormatError('tensor-shape', {
    file: entry.file,
    tensor: entry.name,
    expected: `[1], [${rows}] or [${Math.ceil(rows / blockRows)}, ${across}]`,
    actual: entry.shape,
  });
}

async function* expanded(weight: TensorEntry, scale: Scale | undefined): AsyncGenerator<Uint8Array> {
  const codes = float8Values();
  const columns = Math.max(1, elementCount(weight.shape.slice(1)));
  let index = 0;
  for await (const chunk of readTensorBytes(weight)) {
    const values = new Float32Array(chunk.length);
    for (let i = 0; i < chunk.length; i++, index++) {
      let value = codes[chunk[i]!]!;
      if (scale) {
        const row = Math.floor(index / columns);
        const block = Math.floor((index - row * columns) / scale.blockColumns);
        value *= scale.values[Math.floor(row / scale.blockRows) * scale.columns + block]!;
      }
      values[i] = value;
    }
    yield encodeFloats(values, 'BF16');
  }
}

/** The checkpoint as it will be with its copies, which are not made of files that are elsewhere. */
function asExpanded(checkpoint: Checkpoint, weights: readonly TensorEntry[]): Checkpoint {
  const tensors = new Map(checkpoint.tensors);
  for (const weight of weights) {
    tensors.set(weight.name, { ...weight, dtype: 'BF16', length: 2 * weight.length });
    for (const suffix of scaleSuffixes) tensors.delete(`${weight.name}${suffix}`);
  }
  return { ...checkpoint, tensors, totalBytes: totalBytesOf(tensors) };
}

function totalBytesOf(tensors: Checkpoint['tensors']): number {
  return [...tensors.values()].reduce((sum, { length }) => sum + length, 0);
}

/**
 * A checkpoint with bf16 copies in place of its f8_e4m3 tensors; the same checkpoint where it has none.
 * @throws FileError where the cache cannot be written; FormatError `tensor-shape` for a scale that fits no form.
 */
export async function withExpandedFloats(checkpoint: Checkpoint): Promise<Checkpoint> {
  const weights = [...checkpoint.tensors.values()].filter(({ dtype }) => dtype === 'F8_E4M3');
  if (weights.length === 0) return checkpoint;
  if (weights.some(({ source }) => source !== undefined)) return asExpanded(checkpoint, weights);
  const block = await blockSizeOf(checkpoint.folder);
  const hash = createHash('sha256').update(`${copyVersion}|${block.join()}`);
  for (const file of new Set(weights.map((weight) => weight.file))) {
    const { size, mtimeNs, ctimeNs, ino } = await stat(file, { bigint: true });
    hash.update(`|${file}|${size}|${mtimeNs}|${ctimeNs}|${ino}`);
  }
  const folder = cachePath('expanded');
  const copy = join(folder, `${hash.digest('hex')}.safetensors`);
  const tensors = new Map(checkpoint.tensors);
  const sources: TensorSource[] = [];
  for (const weight of weights) {
    const scaleEntry = scaleSuffixes.map((suffix) => tensors.get(`${weight.name}${suffix}`)).find(Boolean);
    const scale = scaleEntry && (await readScale(weight, scaleEntry, block));
    sources.push({ name: weight.name, dtype: 'BF16', shape: weight.shape, chunks: () => expanded(weight, scale) });
  }
  const known = await openSafetensors(copy).catch(() => undefined);
  if (!known || weights.some(({ name }) => !known.tensors.has(name))) {
    await mkdir(folder, { recursive: true });
    await writeSafetensors(copy, sources);
  }
  const { tensors: copies } = await openSafetensors(copy);
  for (const { name } of weights) {
    tensors.set(name, copies.get(name)!);
    for (const suffix of scaleSuffixes) tensors.delete(`${name}${suffix}`);
  }
  return { ...checkpoint, tensors, totalBytes: totalBytesOf(tensors) };
}
