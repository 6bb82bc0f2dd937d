/**
 * Conversions between f32 and the two 16-bit formats that weights are stored in, and a scan for values that are not
 * finite. Works on raw little-endian words. Rounding is to nearest, ties to even (IEEE 754, as PyTorch does).
 */

/** Dtypes whose values can be read as f32. */
export type FloatDtype = 'F32' | 'F16' | 'BF16';

let float16Table: Uint32Array | undefined;

/** The f32 bits of each of the 65,536 f16 values; 256 KB, made at first use. */
function float16Bits(): Uint32Array {
  if (float16Table) return float16Table;
  const table = new Uint32Array(65_536);
  for (let half = 0; half < 65_536; half++) {
    const sign = (half & 0x8000) << 16;
    const exponent = (half >>> 10) & 0x1f;
    let mantissa = half & 0x3ff;
    if (exponent === 31) table[half] = sign | 0x7f800000 | (mantissa << 13);
    else if (exponent > 0) table[half] = sign | ((exponent + 112) << 23) | (mantissa << 13);
    else if (mantissa === 0) table[half] = sign;
    else {
      let shift = 113;
      while ((mantissa & 0x400) === 0) {
        mantissa <<= 1;
        shift--;
      }
      table[half] = sign | (shift << 23) | ((mantissa & 0x3ff) << 13);
    }
  }
  float16Table = table;
  return table;
}

/** f16 words -> f32. `target` must be as long as `source`. */
export function float16ToFloat32(source: Uint16Array, target: Float32Array): void {
  const table = float16Bits();
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < source.length; i++) bits[i] = table[source[i]!]!;
}

/** bf16 words -> f32. `target` must be as long as `source`. */
export function bfloat16ToFloat32(source: Uint16Array, target: Float32Array): void {
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < source.length; i++) bits[i] = source[i]! << 16;
}

/** f32 -> f16 words, to nearest even; beyond 65,504 becomes infinity, NaN stays NaN. */
export function float32ToFloat16(source: Float32Array, target: Uint16Array): void {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!;
    const sign = (word >>> 16) & 0x8000;
    const magnitude = word & 0x7fffffff;
    if (magnitude >= 0x47800000) {
      target[i] = sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
    } else if (magnitude >= 0x38800000) {
      const rebased = magnitude - 0x38000000;
      target[i] = sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13);
    } else if (magnitude < 0x33000000) {
      target[i] = sign;
    } else {
      const shift = 126 - (magnitude >>> 23);
      const mantissa = (magnitude & 0x7fffff) | 0x800000;
      const kept = mantissa >>> shift;
      const rest = mantissa & ((1 << shift) - 1);
      const half = 1 << (shift - 1);
      target[i] = sign | (rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept);
    }
  }
}

/** f32 -> bf16 words, to nearest even; NaN stays NaN. */
export function float32ToBfloat16(source: Float32Array, target: Uint16Array): void {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!;
    target[i] = (word & 0x7fffffff) > 0x7f800000 ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
}

/** Raw bytes of `dtype` -> f32. The bytes must begin at a multiple of the element size in their buffer. */
export function decodeFloats(bytes: Uint8Array, dtype: FloatDtype, target: Float32Array): void {
  if (dtype === 'F32') {
    new Uint8Array(target.buffer, target.byteOffset, target.byteLength).set(bytes);
    return;
  }
  const words = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  if (dtype === 'F16') float16ToFloat32(words, target);
  else bfloat16ToFloat32(words, target);
}

/** f32 -> raw little-endian bytes of `dtype`; for F32 a view of the same memory, not a copy. */
export function encodeFloats(values: Float32Array, dtype: FloatDtype): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const words = new Uint16Array(values.length);
  if (dtype === 'F16') float32ToFloat16(values, words);
  else float32ToBfloat16(values, words);
  return new Uint8Array(words.buffer);
}

/** Index of the first element that is infinite or NaN, or -1. The bytes must be aligned to their element size. */
export function indexOfNonFinite(bytes: Uint8Array, dtype: FloatDtype): number {
  if (dtype === 'F32') {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    for (let i = 0; i < words.length; i++) if ((words[i]! & 0x7f800000) === 0x7f800000) return i;
    return -1;
  }
  const exponent = dtype === 'F16' ? 0x7c00 : 0x7f80;
  const words = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  for (let i = 0; i < words.length; i++) if ((words[i]! & exponent) === exponent) return i;
  return -1;
}
