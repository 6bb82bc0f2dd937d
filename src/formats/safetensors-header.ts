/**
 * The header of a safetensors file: checked parsing, and building it byte for byte as the safetensors library (0.8) does.
 * Knows bytes, not files. Format: https://huggingface.co/docs/safetensors
 */
import { FormatError } from '../errors.ts';
import { isJsonObject, type JsonObject, type JsonValue, parseJsonText } from './json-text.ts';

/** Bits of an element of each dtype, in the library's order: files hold the tensors of later dtypes first. */
const dtypeBits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** A dtype as safetensors spells it. */
export type StoredDtype = keyof typeof dtypeBits;

const dtypeOrder = Object.keys(dtypeBits);

/** The library's own bound on headers; a model of 100,000 tensors needs about 12 MB. */
export const maxHeaderBytes = 100_000_000;
/** Torch itself has tensors of at most 64 dimensions; beyond that a header is an attack. */
const maxDimensions = 64;

/** What a header says about one tensor. `begin` and `end` are bytes after the header. */
export interface HeaderTensor {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** A checked header: tensors in the order of their bytes. */
export interface SafetensorsHeader {
  readonly tensors: readonly HeaderTensor[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Where the tensors' bytes begin in the file. */
  readonly dataOffset: number;
}

/** Bytes that a tensor takes; NaN where they are no whole number or beyond 2^53. */
export function storedBytes(dtype: StoredDtype, shape: readonly number[]): number {
  let bits: number = dtypeBits[dtype];
  for (const size of shape) {
    bits *= size;
    if (!Number.isSafeInteger(bits)) return shape.includes(0) ? 0 : Number.NaN;
  }
  return bits % 8 === 0 ? bits / 8 : Number.NaN;
}

/** Reads the first 8 bytes: the header's length, checked against the file's. */
export function readHeaderLength(prefix: Uint8Array, fileBytes: number, file: string): number {
  if (fileBytes < 8 || prefix.length < 8) {
    throw new FormatError('safetensors-header', {
      file,
      requirement: 'it must begin with the 8-byte length of its header',
      actual: `a file of ${fileBytes} bytes`,
    });
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length < 2n || length > BigInt(maxHeaderBytes)) {
    throw new FormatError('safetensors-header', {
      file,
      requirement: `the header's length must be 2 to ${maxHeaderBytes} bytes`,
      actual: String(length),
    });
  }
  if (8 + Number(length) > fileBytes) {
    throw new FormatError('safetensors-length', {
      file,
      expectedBytes: 8 + Number(length),
      actualBytes: fileBytes,
    });
  }
  return Number(length);
}

function show(value: JsonValue | undefined): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

function isSize(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function checkTensor(name: string, value: JsonValue, file: string): HeaderTensor {
  const refuse = (requirement: string, actual: string): FormatError<'safetensors-tensor'> =>
    new FormatError('safetensors-tensor', { file, tensor: name, requirement, actual });
  if (!isJsonObject(value)) throw refuse('its entry must be an object', show(value));
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(dtypeBits, dtype)) {
    throw refuse('dtype must be one that safetensors knows (F32, F16, BF16, ...)', show(dtype));
  }
  if (!Array.isArray(shape) || shape.length > maxDimensions || !shape.every(isSize)) {
    throw refuse(`shape must be a list of at most ${maxDimensions} sizes`, show(shape));
  }
  const stored = dtype as StoredDtype;
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw refuse('data_offsets must be [begin, end]', show(offsets));
  }
  const [begin, end] = offsets as [number, number];
  const bytes = storedBytes(stored, shape);
  if (end - begin !== bytes) {
    const needed = Number.isNaN(bytes) ? 'more bytes than a file can have' : `${bytes} bytes`;
    throw refuse(
      `${stored} of the shape ${show(shape)} takes ${needed}`,
      `data_offsets ${show(offsets)}, which are ${end - begin}`,
    );
  }
  return { name, dtype: stored, shape, begin, end };
}

function checkMetadata(value: JsonValue | undefined, file: string): Record<string, string> {
  const metadata = Object.create(null) as Record<string, string>;
  if (value === undefined) return metadata;
  const requirement = '__metadata__ must map texts to texts';
  if (!isJsonObject(value)) {
    throw new FormatError('safetensors-header', { file, requirement, actual: show(value).slice(0, 100) });
  }
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') {
      throw new FormatError('safetensors-header', {
        file,
        requirement,
        actual: `${show(key).slice(0, 60)}: ${show(text).slice(0, 60)}`,
      });
    }
    metadata[key] = text;
  }
  return metadata;
}

/** The tensors must lie one after the other from 0 to the end of the file. */
function checkLayout(tensors: readonly HeaderTensor[], dataBytes: number, dataOffset: number, file: string): void {
  let position = 0;
  let previous = '';
  for (const tensor of tensors) {
    if (tensor.begin !== position) {
      const requirement =
        tensor.begin < position
          ? `must not overlap ${JSON.stringify(previous).slice(0, 100)}: must begin at byte ${position}`
          : `must leave no hole before it: must begin at byte ${position}`;
      const actual = `data_offsets [${tensor.begin}, ${tensor.end}]`;
      throw new FormatError('safetensors-tensor', { file, tensor: tensor.name, requirement, actual });
    }
    if (tensor.end > dataBytes) {
      throw new FormatError('safetensors-tensor', {
        file,
        tensor: tensor.name,
        requirement: `must end within the file's ${dataBytes} bytes of data (the file may be cut off: copy or download it again)`,
        actual: `data_offsets [${tensor.begin}, ${tensor.end}]`,
      });
    }
    position = tensor.end;
    previous = tensor.name;
  }
  if (position !== dataBytes) {
    throw new FormatError('safetensors-length', {
      file,
      expectedBytes: dataOffset + position,
      actualBytes: dataOffset + dataBytes,
    });
  }
}

/**
 * Parses and checks the header of a safetensors file.
 * @param header the bytes after the 8-byte length
 * @param fileBytes length of the whole file
 * @throws FormatError naming the file, the tensor and the value: broken or too deep JSON, a name twice, an unknown dtype, a shape that
 *   does not fit its bytes, overlaps, holes, bytes outside of the file or that no tensor has.
 */
export function parseSafetensorsHeader(header: Uint8Array, fileBytes: number, file: string): SafetensorsHeader {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
  } catch {
    throw new FormatError('safetensors-header', {
      file,
      requirement: 'the header must be UTF-8 text',
      actual: 'bytes that are not',
    });
  }
  if (!text.startsWith('{')) {
    throw new FormatError('safetensors-header', {
      file,
      requirement: 'the header must begin with "{"',
      actual: JSON.stringify(text.slice(0, 1)),
    });
  }
  const value = parseJsonText(text, `${file} (header)`) as JsonObject;
  const tensors: HeaderTensor[] = [];
  for (const [name, entry] of Object.entries(value)) {
    if (name !== '__metadata__') tensors.push(checkTensor(name, entry, file));
  }
  // Empty tensors take no bytes: they come before the tensor that begins where they stand.
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const metadata = checkMetadata(Object.hasOwn(value, '__metadata__') ? value['__metadata__'] : undefined, file);
  const dataOffset = 8 + header.length;
  checkLayout(tensors, fileBytes - dataOffset, dataOffset, file);
  return { tensors, metadata, dataOffset };
}

/** What is needed to place a tensor in a file. */
export interface TensorShape {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
}

/** Sorts tensors as the library stores them: widest dtype first, then by name (bytes of UTF-8). */
export function inStoredOrder<T extends TensorShape>(tensors: readonly T[]): T[] {
  return tensors
    .map((tensor) => ({ tensor, rank: dtypeOrder.indexOf(tensor.dtype), name: Buffer.from(tensor.name) }))
    .sort((a, b) => b.rank - a.rank || Buffer.compare(a.name, b.name))
    .map(({ tensor }) => tensor);
}

/** The length prefix and header of a file that holds `tensors` in the order given. */
export function buildSafetensorsHeader(
  tensors: readonly TensorShape[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const parts: string[] = [];
  const texts = Object.entries(metadata).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  if (texts.length > 0) {
    const pairs = texts.map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`);
    parts.push(`"__metadata__":{${pairs.join(',')}}`);
  }
  let position = 0;
  for (const { name, dtype, shape } of tensors) {
    const end = position + storedBytes(dtype, shape);
    parts.push(
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(',')}],"data_offsets":[${position},${end}]}`,
    );
    position = end;
  }
  const json = Buffer.from(`{${parts.join(',')}}`);
  const padded = Math.ceil(json.length / 8) * 8;
  const bytes = Buffer.alloc(8 + padded, ' ');
  bytes.writeBigUInt64LE(BigInt(padded), 0);
  json.copy(bytes, 8);
  return bytes;
}
