/**
 * NF4 and FP4: blocks of 64 values, each with the largest magnitude as scale, each value the nearest of 16. Codes and
 * scales equal those of bitsandbytes 0.50 on the CPU to the bit. Dettmers et al. 2023, "QLoRA".
 */
import { type FourBitType, fourBitValues } from '../graph/index.ts';

/** Values that share a scale. */
export const fourBitBlockSize = 64;

/** bitsandbytes' smallest divisor; also the scale of a short last block of zeros. */
const smallestScale = Math.fround(1e-38);

/** Packed codes and scales. */
export interface FourBitTensor {
  /** Two codes a byte, the first in the high half; an odd last one is followed by the code of 0. */
  readonly codes: Uint8Array;
  /** One f32 scale for each block. */
  readonly absmax: Float32Array;
}

/** Cells from -1 to 1 in which at most one bound lies: the closest two are 0.005 apart. */
const cells = 1024;

interface Ladder {
  /** The middles between neighbouring values, ascending; the last one is infinite. */
  readonly bounds: Float32Array;
  /** The code of each value, ascending by value. */
  readonly order: Uint8Array;
  /** For each cell, the number of bounds below its beginning. */
  readonly first: Uint8Array;
}

function makeLadder(type: FourBitType): Ladder {
  const values = fourBitValues[type];
  const order = Uint8Array.from([...values.keys()].sort((a, b) => values[a]! - values[b]! || a - b));
  const bounds = Float32Array.from({ length: order.length }, (_, i) =>
    i + 1 < order.length ? Math.fround(values[order[i]!]! + values[order[i + 1]!]!) / 2 : Infinity,
  );
  const first = Uint8Array.from({ length: cells + 1 }, (_, cell) => {
    const begin = (2 * cell) / cells - 1;
    return bounds.findIndex((bound) => bound >= begin);
  });
  return { bounds, order, first };
}

const ladders: Readonly<Record<FourBitType, Ladder>> = { nf4: makeLadder('nf4'), fp4: makeLadder('fp4') };

function codeOf(value: number, { bounds, order, first }: Ladder): number {
  // not-a-number is above all bounds
  if (value !== value) return order[order.length - 1]!;
  // the number of bounds below the value
  const below = first[Math.floor((value + 1) * (cells / 2))]!;
  return order[bounds[below]! < value ? below + 1 : below]!;
}

function largestMagnitude(values: Float32Array, begin: number, end: number): number {
  let largest = 0;
  for (let i = begin; i < end; i++) {
    const magnitude = Math.abs(values[i]!);
    if (Number.isNaN(magnitude)) return Number.NaN;
    if (magnitude > largest) largest = magnitude;
  }
  return largest;
}

/**
 * Quantises f32 values. Stretches of a multiple of 64 values may be quantised one by one and put together.
 * A block that holds a not-a-number has it as its scale.
 */
export function quantizeFourBit(values: Float32Array, type: FourBitType): FourBitTensor {
  const ladder = ladders[type];
  const count = values.length;
  const codes = new Uint8Array(Math.ceil(count / 2));
  const absmax = new Float32Array(Math.ceil(count / fourBitBlockSize));
  const clamp = (value: number): number => (value > 1 ? 1 : value < -1 ? -1 : value);
  const put = (i: number, code: number): void => {
    codes[i >> 1]! |= i % 2 === 0 ? code << 4 : code;
  };
  for (let block = 0; block < absmax.length; block++) {
    const begin = block * fourBitBlockSize;
    const end = Math.min(count, begin + fourBitBlockSize);
    const largest = largestMagnitude(values, begin, end);
    const divisor = largest < smallestScale ? smallestScale : largest;
    const whole = end - begin === fourBitBlockSize;
    absmax[block] = whole ? largest : divisor;
    // whole blocks are multiplied by the reciprocal, a short last one is divided
    const factor = Math.fround(1 / divisor);
    for (let i = begin; i < end; i++) {
      const scaled = Math.fround(whole ? values[i]! * factor : values[i]! / divisor);
      put(i, codeOf(clamp(scaled), ladder));
    }
  }
  if (count % 2 === 1) put(count, codeOf(0, ladder));
  return { codes, absmax };
}

/** The first `count` values that codes and scales stand for. */
export function dequantizeFourBit(
  { codes, absmax }: FourBitTensor,
  type: FourBitType,
  count: number,
  blockSize = fourBitBlockSize,
): Float32Array {
  const table = fourBitValues[type];
  return Float32Array.from({ length: count }, (_, i) => {
    const code = i % 2 === 0 ? codes[i >> 1]! >> 4 : codes[i >> 1]! & 15;
    return table[code]! * absmax[Math.floor(i / blockSize)]!;
  });
}
