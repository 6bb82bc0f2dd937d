import { describe, expect, it } from 'vitest';
import { RandomStream } from '../util/index.ts';
import {
  bfloat16ToFloat32,
  encodeFloats,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
  indexOfNonFinite,
} from './half-floats.ts';

type Decode = (source: Uint16Array, target: Float32Array) => void;

/** Every 16-bit word and its value. */
function allValues(decode: Decode): Float32Array {
  const values = new Float32Array(65_536);
  decode(
    Uint16Array.from({ length: 65_536 }, (_, i) => i),
    values,
  );
  return values;
}

/** The definition: the nearest of all finite values; of two equally near, the even word. Positive values only. */
function nearestWord(x: number, values: Float32Array, infinity: number): number {
  let low = 0;
  let high = infinity;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle]! <= x) low = middle;
    else high = middle;
  }
  const below = values[low]!;
  // The value that the exponent after the last one would have, for numbers beyond the largest.
  const above = high === infinity ? below + (below - values[low - 1]!) : values[high]!;
  if (x - below < above - x) return low;
  if (x - below > above - x) return high;
  return low % 2 === 0 ? low : high;
}

const formats = [
  { name: 'f16', decode: float16ToFloat32, encode: float32ToFloat16, infinity: 0x7c00, mantissa: 0x3ff },
  { name: 'bf16', decode: bfloat16ToFloat32, encode: float32ToBfloat16, infinity: 0x7f80, mantissa: 0x7f },
] as const;

describe.each(formats)('$name', ({ decode, encode, infinity }) => {
  const values = allValues(decode);

  it('gives every word back', () => {
    const words = new Uint16Array(65_536);
    encode(values, words);
    for (let word = 0; word < 65_536; word++) {
      if (Number.isNaN(values[word])) expect((words[word]! & 0x7fff) > infinity).toBe(true);
      else if (words[word] !== word) expect.fail(`word ${word} came back as ${words[word]}`);
    }
  });

  it('rounds to nearest, ties to even, in every range of exponents', () => {
    const random = new RandomStream(7);
    const bits = new Uint32Array(60_000);
    for (let i = 0; i < bits.length; i++) bits[i] = random.nextUint32() & 0x7fffffff;
    // Exact ties between neighbouring words, and their f32 neighbours.
    for (let i = 0; i < 30_000; i += 3) {
      const word = random.nextInt(infinity - 1);
      const tie = new Float32Array([(values[word]! + values[word + 1]!) / 2]);
      const tieBits = new Uint32Array(tie.buffer)[0]!;
      bits.set([tieBits, tieBits + 1, Math.max(tieBits - 1, 0)], i);
    }
    const source = new Float32Array(bits.buffer);
    const words = new Uint16Array(source.length);
    encode(source, words);
    for (let i = 0; i < source.length; i++) {
      const x = source[i]!;
      if (Number.isNaN(x)) continue;
      const expected = x === Number.POSITIVE_INFINITY ? infinity : nearestWord(x, values, infinity);
      if (words[i] !== expected) expect.fail(`${x}: got word ${words[i]}, expected ${expected}`);
    }
  });

  it('keeps the sign, zero and infinity', () => {
    const words = new Uint16Array(6);
    encode(new Float32Array([0, -0, Infinity, -Infinity, 1, -1]), words);
    const back = new Float32Array(6);
    decode(words, back);
    expect([...back]).toEqual([0, -0, Infinity, -Infinity, 1, -1]);
  });
});

describe('values known from PyTorch 2.13', () => {
  it('f16', () => {
    const words = new Uint16Array(7);
    float32ToFloat16(new Float32Array([65504, 65519.996, 65520, 2 ** -24, 2 ** -25, 1.5 * 2 ** -25, 0.1]), words);
    expect([...words]).toEqual([0x7bff, 0x7bff, 0x7c00, 1, 0, 1, 0x2e66]);
  });
  it('bf16', () => {
    const words = new Uint16Array(4);
    float32ToBfloat16(new Float32Array([0.1, 3.3895314e38, 3.4e38, 1 + 2 ** -8]), words);
    expect([...words]).toEqual([0x3dcd, 0x7f7f, 0x7f80, 0x3f80]);
  });
});

describe('indexOfNonFinite', () => {
  it.each(['F32', 'F16', 'BF16'] as const)('finds the first one in %s', (dtype) => {
    const values = Float32Array.from({ length: 1000 }, (_, i) => (i % 2 ? -60_000 : 60_000));
    expect(indexOfNonFinite(encodeFloats(values, dtype), dtype)).toBe(-1);
    values[700] = Number.NaN;
    expect(indexOfNonFinite(encodeFloats(values, dtype), dtype)).toBe(700);
    values[12] = Number.NEGATIVE_INFINITY;
    expect(indexOfNonFinite(encodeFloats(values, dtype), dtype)).toBe(12);
  });
});
