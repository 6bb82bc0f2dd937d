/**
 * Double quantisation: the scales of 4-bit blocks, less their mean, in 8-bit codes with one scale for each 256 of them.
 * Equal to bitsandbytes 0.50 on the CPU to the bit, whose codes near zero are coarser than the map allows.
 */
import { torchMean } from './torch-mean.ts';

/** Scales that share a scale of their own. */
export const nestedBlockSize = 256;

/** Scales in codes: `map[codes] * absmax[block] + offset`. */
export interface NestedScales {
  readonly codes: Uint8Array;
  /** One f32 scale for each 256 codes. */
  readonly absmax: Float32Array;
  /** f32; the mean of all scales. */
  readonly offset: number;
}

const f = Math.fround;

/** torch.linspace(0.1, 1, count) in f32, with its fused multiply-adds: one rounding each. */
function linspace(count: number): Float32Array {
  const start = f(0.1);
  const step = f(f(1 - start) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) =>
    i < count / 2 ? f(start + step * i) : f(1 - step * (count - i - 1)),
  );
}

/** The values of the 256 codes, ascending ("8-bit Approximations for Parallelism in Deep Learning", Dettmers 2015; signed, 7 exponent bits). */
function makeDynamicMap(): Float32Array {
  const values = [0, 1];
  for (let exponent = 0; exponent < 7; exponent++) {
    const bounds = linspace(2 ** exponent + 1);
    const power = f(10 ** (exponent - 6));
    for (let i = 0; i + 1 < bounds.length; i++) {
      const middle = f(f(bounds[i]! + bounds[i + 1]!) / 2);
      values.push(f(power * middle), f(-power * middle));
    }
  }
  return Float32Array.from(values).sort();
}

/** The value of each 8-bit code, f32[256]. */
export const dynamicMap: Float32Array = makeDynamicMap();

const lookupSteps = 65_535;

/** The code of each of 65,536 evenly spaced numbers from -1 to 1: bitsandbytes rounds to these first. */
function makeLookup(): Uint8Array {
  const bounds = Float32Array.from({ length: 255 }, (_, k) => f(f(dynamicMap[k]! + dynamicMap[k + 1]!) * 0.5));
  let code = 0;
  return Uint8Array.from({ length: lookupSteps + 1 }, (_, i) => {
    const value = f(f((2 * i) / lookupSteps) - 1);
    while (code < 255 && value > bounds[code]!) code++;
    return code;
  });
}

let lookup: Uint8Array | undefined;

/** Quantises scales. Not-a-numbers are passed over when blocks are scaled, and get code 0; the offset then is one itself. */
export function quantizeScales(scales: Float32Array): NestedScales {
  lookup ??= makeLookup();
  const offset = torchMean(scales);
  const codes = new Uint8Array(scales.length);
  const absmax = new Float32Array(Math.ceil(scales.length / nestedBlockSize));
  const centred = scales.map((scale) => scale - offset);
  for (let block = 0; block < absmax.length; block++) {
    const begin = block * nestedBlockSize;
    const end = Math.min(scales.length, begin + nestedBlockSize);
    let largest = 0;
    for (let i = begin; i < end; i++) if (Math.abs(centred[i]!) > largest) largest = Math.abs(centred[i]!);
    absmax[block] = largest;
    if (largest === 0) continue;
    const factor = f(1 / largest);
    for (let i = begin; i < end; i++) {
      const value = f(centred[i]! * factor);
      const clamped = value < -1 ? -1 : value > 1 ? 1 : value;
      // a fused multiply-add: one rounding, which the double product leaves to do
      codes[i] = lookup[Math.trunc(f(f(f(clamped + 1) * 0.5) * lookupSteps + 0.5)) & 0xffff]!;
    }
  }
  return { codes, absmax, offset };
}

/** The f32 scales that codes stand for. */
export function dequantizeScales(
  { codes, absmax, offset }: NestedScales,
  map: Float32Array = dynamicMap,
  blockSize = nestedBlockSize,
): Float32Array {
  return Float32Array.from(codes, (code, i) => f(map[code]! * absmax[Math.floor(i / blockSize)]!) + offset);
}
