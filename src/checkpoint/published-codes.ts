/**
 * Weights in codes as bitsandbytes stores them in safetensors: `weight` in packed codes with `weight.absmax`,
 * `weight.nested_absmax`, `weight.nested_quant_map` and `weight.quant_state.bitsandbytes__nf4` beside it, or `weight` in signed
 * bytes with `SCB`. Nothing is copied: the parts are used where they lie.
 */
import { FormatError } from '../errors.ts';
import {
  type Checkpoint,
  isJsonObject,
  type JsonObject,
  parseJsonText,
  readTensorBytes,
  type StoredDtype,
  type TensorEntry,
} from '../formats/index.ts';
import type { FourBitLayout, FourBitType, QuantizedLayout } from '../graph/index.ts';
import { type CodeLocations, quantStateName, rowScalesName } from './quantization.ts';

/** Metadata of one weight takes about 200 bytes. */
const maxStateBytes = 64 * 1024;
/** bitsandbytes' own choice of block sizes. */
const blockSizes: readonly unknown[] = [32, 64, 128, 256, 512, 1024, 2048, 4096];

function refuse(entry: TensorEntry, requirement: string, actual: string): FormatError<'safetensors-tensor'> {
  return new FormatError('safetensors-tensor', { file: entry.file, tensor: entry.name, requirement, actual });
}

async function readState(entry: TensorEntry): Promise<JsonObject> {
  if (entry.length > maxStateBytes) throw refuse(entry, `must be at most ${maxStateBytes} bytes`, String(entry.length));
  const chunks: Uint8Array[] = [];
  for await (const chunk of readTensorBytes(entry)) chunks.push(chunk.slice());
  const value = parseJsonText(Buffer.concat(chunks).toString('utf8'), `${entry.file} (${entry.name})`);
  if (!isJsonObject(value)) throw refuse(entry, 'must hold a JSON object', JSON.stringify(value));
  return value;
}

/** A tensor that must be there, of one of the dtypes and of so many elements. */
export function partOf(
  checkpoint: Checkpoint,
  name: string,
  dtypes: readonly StoredDtype[],
  count: number,
): TensorEntry {
  const entry = checkpoint.tensors.get(name);
  if (!entry) throw new FormatError('tensor-missing', { file: checkpoint.folder, tensor: name });
  const elements = entry.shape.reduce((product, size) => product * size, 1);
  if (!dtypes.includes(entry.dtype) || elements !== count) {
    throw refuse(entry, `must be ${dtypes.join(' or ')} of ${count} elements`, `${entry.dtype} of ${elements}`);
  }
  return entry;
}

async function fourBit(
  checkpoint: Checkpoint,
  name: string,
  shape: readonly [number, number],
  type: FourBitType,
  locations: CodeLocations,
): Promise<FourBitLayout> {
  const stateEntry = checkpoint.tensors.get(quantStateName(name, type))!;
  const state = await readState(stateEntry);
  const { blocksize, shape: stored } = state;
  if (!blockSizes.includes(blocksize)) {
    throw refuse(stateEntry, `blocksize must be one of ${blockSizes.join(', ')}`, JSON.stringify(blocksize ?? null));
  }
  const blockSize = blocksize as number;
  if (JSON.stringify(stored) !== JSON.stringify(shape)) {
    throw refuse(stateEntry, `shape must be [${shape.join(', ')}] by config.json`, JSON.stringify(stored ?? null));
  }
  const count = shape[0] * shape[1];
  const blocks = Math.ceil(count / blockSize);
  const codes = checkpoint.tensors.get(name)!;
  // any dtype may stand for the packed bytes (bnb_4bit_quant_storage)
  if (codes.length !== Math.ceil(count / 2)) {
    throw refuse(codes, `must hold ${Math.ceil(count / 2)} bytes of codes`, `${codes.length} bytes`);
  }
  locations.set(name, codes);
  const absmax = `${name}.absmax`;
  const layout = { dtype: type, shape, blockSize } as const;
  if (!checkpoint.tensors.has(`${name}.nested_absmax`)) {
    locations.set(absmax, partOf(checkpoint, absmax, ['F32'], blocks));
    return layout;
  }
  const { nested_blocksize: nestedBlockSize, nested_offset: offset } = state;
  if (typeof nestedBlockSize !== 'number' || !Number.isInteger(nestedBlockSize) || nestedBlockSize < 1) {
    throw refuse(stateEntry, 'nested_blocksize must be a whole number', JSON.stringify(nestedBlockSize ?? null));
  }
  if (typeof offset !== 'number' || !Number.isFinite(offset)) {
    throw refuse(stateEntry, 'nested_offset must be a finite number', JSON.stringify(offset ?? null));
  }
  locations.set(absmax, partOf(checkpoint, absmax, ['U8'], blocks));
  const map = `${name}.nested_quant_map`;
  locations.set(map, partOf(checkpoint, map, ['F32'], 256));
  const nested = `${name}.nested_absmax`;
  locations.set(nested, partOf(checkpoint, nested, ['F32'], Math.ceil(blocks / nestedBlockSize)));
  locations.set(`${name}.nested_offset`, new Uint8Array(Float32Array.of(offset).buffer));
  return { ...layout, nestedBlockSize };
}

/**
 * The layout of a weight [out, in] that the checkpoint holds in codes, its parts added to `locations`; undefined where it
 * holds no codes for it.
 * @throws FormatError where a part is missing or does not fit the others.
 */
export async function publishedCodes(
  checkpoint: Checkpoint,
  name: string,
  shape: readonly [number, number],
  locations: CodeLocations,
): Promise<QuantizedLayout | undefined> {
  for (const type of ['nf4', 'fp4'] as const) {
    if (checkpoint.tensors.has(quantStateName(name, type))) return fourBit(checkpoint, name, shape, type, locations);
  }
  const codes = checkpoint.tensors.get(name);
  if (codes?.dtype !== 'I8') return undefined;
  if (codes.shape.join() !== shape.join()) {
    throw new FormatError('parameter-shape', { file: codes.file, tensor: name, expected: shape, actual: codes.shape });
  }
  locations.set(name, codes);
  locations.set(`${name}.absmax`, partOf(checkpoint, rowScalesName(name), ['F32'], shape[0]));
  return { dtype: 'int8', shape };
}
