/**
 * Signed bytes with one scale for each row, as bitsandbytes' LLM.int8 stores frozen weights (Dettmers et al. 2022): codes and
 * scales equal to its own to the bit, for finite weights.
 */
import { float16ToFloat32, float32ToFloat16 } from '../formats/index.ts';

/** Codes [rows, width], and the largest magnitude of each row. */
export interface EightBitTensor {
  readonly codes: Int8Array;
  readonly absmax: Float32Array;
}

/** What a code of 1 is worth in a row of scale 1: bitsandbytes' 1 / 127 in f32. */
export const eightBitStep: number = Math.fround(7.874015718698502e-3);

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Quantises rows of f32 values, rounded to f16 first as bitsandbytes does; rows may be given in any stretches. */
export function quantizeEightBit(values: Float32Array, width: number): EightBitTensor {
  const words = new Uint16Array(values.length);
  float32ToFloat16(values, words);
  const halves = new Float32Array(values.length);
  float16ToFloat32(words, halves);
  const codes = new Int8Array(values.length);
  const absmax = new Float32Array(values.length / width);
  for (let row = 0; row < absmax.length; row++) {
    const begin = row * width;
    let largest = 0;
    for (let i = begin; i < begin + width; i++) largest = Math.max(largest, Math.abs(halves[i]!));
    absmax[row] = largest;
    if (largest === 0 || !Number.isFinite(largest)) continue;
    // a number by a tensor is a reciprocal and a product in PyTorch
    const factor = Math.fround(Math.fround(1 / largest) * 127);
    for (let i = begin; i < begin + width; i++) codes[i] = roundHalfEven(Math.fround(halves[i]! * factor));
  }
  return { codes, absmax };
}

/** The f32 values that codes and scales stand for. */
export function dequantizeEightBit({ codes, absmax }: EightBitTensor, width: number): Float32Array {
  return Float32Array.from(codes, (code, i) => Math.fround(code * absmax[Math.floor(i / width)]!) * eightBitStep);
}
