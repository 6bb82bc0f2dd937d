/**
 * ggml's storage types that Fettle writes: f32, f16, bf16, and blocks of 32 in 8 and 4 bits, to the bit as llama.cpp's reference
 * quantisers (`quantize_row_q8_0_ref`, `quantize_row_q4_0_ref` in ggml-quants.c).
 */
import { encodeFloats, float32ToFloat16 } from './half-floats.ts';

/** Number of each type in GGUF files, its block, and the block's bytes. */
const types = {
  f32: { id: 0, block: 1, bytes: 4 },
  f16: { id: 1, block: 1, bytes: 2 },
  bf16: { id: 30, block: 1, bytes: 2 },
  q4_0: { id: 2, block: 32, bytes: 18 },
  q8_0: { id: 8, block: 32, bytes: 34 },
} as const;

/** A storage type of ggml. */
export type GgmlType = keyof typeof types;

/** The type's number in a GGUF file. */
export function ggmlTypeId(type: GgmlType): number {
  return types[type].id;
}

/** Values that are stored together; rows must be multiples of it. */
export function ggmlBlock(type: GgmlType): number {
  return types[type].block;
}

/** Bytes of `count` values. */
export function ggmlBytes(type: GgmlType, count: number): number {
  return (count / types[type].block) * types[type].bytes;
}

/** f32 bits of a scale, as f16 at a place of the block. */
class ScaleWriter {
  readonly source = new Float32Array(1);
  readonly word = new Uint16Array(1);
  write(scale: number, target: Uint8Array, at: number): void {
    this.source[0] = scale;
    float32ToFloat16(this.source, this.word);
    target[at] = this.word[0]! & 0xff;
    target[at + 1] = this.word[0]! >>> 8;
  }
}

function quantize8(values: Float32Array): Uint8Array {
  const target = new Uint8Array(ggmlBytes('q8_0', values.length));
  const scales = new ScaleWriter();
  for (let start = 0, at = 0; start < values.length; start += 32, at += 34) {
    let largest = 0;
    for (let j = 0; j < 32; j++) largest = Math.max(largest, Math.abs(values[start + j]!));
    const scale = Math.fround(largest / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    scales.write(scale, target, at);
    for (let j = 0; j < 32; j++) {
      const scaled = Math.fround(values[start + j]! * inverse);
      // C's roundf: halves away from zero.
      target[at + 2 + j] = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5);
    }
  }
  return target;
}

function quantize4(values: Float32Array): Uint8Array {
  const target = new Uint8Array(ggmlBytes('q4_0', values.length));
  const scales = new ScaleWriter();
  for (let start = 0, at = 0; start < values.length; start += 32, at += 18) {
    let largest = 0;
    for (let j = 0; j < 32; j++) {
      const value = values[start + j]!;
      if (Math.abs(value) > Math.abs(largest)) largest = value;
    }
    const scale = Math.fround(largest / -8);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    scales.write(scale, target, at);
    const nibble = (j: number): number =>
      Math.min(15, Math.trunc(Math.fround(Math.fround(values[start + j]! * inverse) + 8.5)));
    for (let j = 0; j < 16; j++) target[at + 2 + j] = nibble(j) | (nibble(j + 16) << 4);
  }
  return target;
}

/**
 * f32 -> the bytes of a ggml type.
 * @param values a multiple of the type's block
 */
export function quantizeGgml(values: Float32Array, type: GgmlType): Uint8Array {
  switch (type) {
    case 'f32':
      return encodeFloats(values, 'F32');
    case 'f16':
      return encodeFloats(values, 'F16');
    case 'bf16':
      return encodeFloats(values, 'BF16');
    case 'q8_0':
      return quantize8(values);
    case 'q4_0':
      return quantize4(values);
  }
}
