/**
 * Writing GGUF files (version 3), the format of llama.cpp: metadata, tensor list, aligned data, streamed and atomic. Says nothing of
 * models: names and metadata are `export/to-gguf.ts`'s. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { writeAtomically } from './atomic-file.ts';
import { requireDiskSpace } from './file-errors.ts';
import { type GgmlType, ggmlBytes, ggmlTypeId } from './gguf-quantize.ts';
import { elementCount } from './safetensors.ts';

/** A metadata value with its type in the file. */
export type GgufValue =
  | { readonly type: 'uint32' | 'int32' | 'float32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'int32s' | 'float32s'; readonly value: readonly number[] };

/** A tensor to be written. `chunks` gives its bytes, already of `type`, when its turn comes. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** Row-major as everywhere here; the file lists the sizes in reverse. */
  readonly shape: readonly number[];
  readonly chunks: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

const version = 3;
const alignment = 32;
const valueTypes = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;

/** Grows as it is written to; little-endian. */
class ByteSink {
  #parts: Buffer[] = [];
  length = 0;

  #push(part: Buffer): void {
    this.#parts.push(part);
    this.length += part.length;
  }
  uint32(value: number): void {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    this.#push(part);
  }
  int32(value: number): void {
    const part = Buffer.alloc(4);
    part.writeInt32LE(value);
    this.#push(part);
  }
  uint64(value: number): void {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    this.#push(part);
  }
  float32(value: number): void {
    const part = Buffer.alloc(4);
    part.writeFloatLE(value);
    this.#push(part);
  }
  bool(value: boolean): void {
    this.#push(Buffer.from([value ? 1 : 0]));
  }
  string(value: string): void {
    const bytes = Buffer.from(value);
    this.uint64(bytes.length);
    this.#push(bytes);
  }
  pad(): void {
    this.#push(Buffer.alloc(aligned(this.length) - this.length));
  }
  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

function aligned(length: number): number {
  return Math.ceil(length / alignment) * alignment;
}

function writeArray<T>(sink: ByteSink, type: number, values: readonly T[], write: (value: T) => void): void {
  sink.uint32(valueTypes.array);
  sink.uint32(type);
  sink.uint64(values.length);
  for (const value of values) write(value);
}

function writeValue(sink: ByteSink, entry: GgufValue): void {
  switch (entry.type) {
    case 'strings':
      return writeArray(sink, valueTypes.string, entry.value, (value) => sink.string(value));
    case 'int32s':
      return writeArray(sink, valueTypes.int32, entry.value, (value) => sink.int32(value));
    case 'float32s':
      return writeArray(sink, valueTypes.float32, entry.value, (value) => sink.float32(value));
  }
  sink.uint32(valueTypes[entry.type]);
  switch (entry.type) {
    case 'uint32':
      return sink.uint32(entry.value);
    case 'int32':
      return sink.int32(entry.value);
    case 'float32':
      return sink.float32(entry.value);
    case 'string':
      return sink.string(entry.value);
    case 'bool':
      return sink.bool(entry.value);
  }
}

function headerBytes(metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): Buffer {
  const sink = new ByteSink();
  sink.uint32(0x46554747);
  sink.uint32(version);
  sink.uint64(tensors.length);
  sink.uint64(metadata.size);
  for (const [key, value] of metadata) {
    sink.string(key);
    writeValue(sink, value);
  }
  let offset = 0;
  for (const { name, type, shape } of tensors) {
    sink.string(name);
    sink.uint32(shape.length);
    for (const size of shape.toReversed()) sink.uint64(size);
    sink.uint32(ggmlTypeId(type));
    sink.uint64(offset);
    offset += aligned(ggmlBytes(type, elementCount(shape)));
  }
  sink.pad();
  return sink.bytes();
}

/**
 * Writes a GGUF file atomically.
 * @param onTensor called after each tensor with the bytes of tensors written so far
 * @returns bytes of the file
 * @throws FileError `disk-full` (before the first byte where the system knows), `file-unwritable`
 */
export async function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
  onTensor?: (tensor: GgufTensor, bytesWritten: number) => void,
): Promise<number> {
  const header = headerBytes(metadata, tensors);
  const sizes = tensors.map(({ type, shape }) => ggmlBytes(type, elementCount(shape)));
  const total = header.length + sizes.reduce((sum, size) => sum + aligned(size), 0);
  await requireDiskSpace(path, total);
  await writeAtomically(
    path,
    async (file) => {
      await file.writeFile(header);
      let before = 0;
      for (const [i, tensor] of tensors.entries()) {
        let written = 0;
        for await (const chunk of tensor.chunks()) {
          await file.writeFile(chunk);
          written += chunk.length;
        }
        const size = sizes[i]!;
        if (written !== size)
          throw new RangeError(`tensor "${tensor.name}" gave ${written} bytes, its shape takes ${size}`);
        await file.writeFile(Buffer.alloc(aligned(size) - size));
        before += aligned(size);
        onTensor?.(tensor, before);
      }
    },
    total,
  );
  return total;
}
