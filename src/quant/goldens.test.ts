/** Codes, scales and values against bitsandbytes, to the bit: bench/quant/record.py (versions and seed in the file). */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { FourBitType } from '../graph/index.ts';
import { hashKey, mix32 } from '../util/index.ts';
import {
  dequantizeEightBit,
  dequantizeFourBit,
  dequantizeScales,
  dynamicMap,
  quantizeEightBit,
  quantizeFourBit,
  quantizeScales,
} from './index.ts';

interface Digest {
  readonly bytes: number;
  readonly head: string;
  readonly sha256: string;
}
type FourBitGolden = Record<
  'codes' | 'absmax' | 'values' | 'nestedCodes' | 'nestedAbsmax' | 'offset' | 'nestedValues',
  Digest
>;
interface TensorGolden {
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: 'spread' | 'zero-blocks' | 'nan';
  readonly input: Digest;
  readonly nf4: FourBitGolden;
  readonly fp4: FourBitGolden;
  readonly int8?: Record<'codes' | 'absmax' | 'values', Digest>;
}

const golden = JSON.parse(readFileSync(new URL('../../test/goldens/quant/blocks.json', import.meta.url), 'utf8')) as {
  readonly made: { readonly seed: number };
  readonly map: Digest;
  readonly tensors: readonly TensorGolden[];
};

function inputOf({ name, shape, kind }: TensorGolden): Float32Array {
  const count = shape.reduce((product, size) => product * size, 1);
  const valueKey = hashKey(golden.made.seed, name, 'value');
  const exponentKey = hashKey(golden.made.seed, name, 'exponent');
  const values = Float32Array.from({ length: count }, (_, i) => {
    if (kind === 'zero-blocks' && Math.floor(i / 64) % 3 === 1) return 0;
    return (mix32(valueKey, i) / 4294967296 - 0.5) * 2 ** -(mix32(exponentKey, i) % 8);
  });
  if (kind === 'zero-blocks' && count > 3) values[3] = -0;
  if (kind === 'nan' && count > 1) values[Math.floor((count * 2) / 3)] = Number.NaN;
  return values;
}

function digest(values: Float32Array | Uint8Array | Int8Array): Digest {
  const copy = values.slice();
  const bytes = new Uint8Array(copy.buffer);
  if (copy instanceof Float32Array) {
    const words = new Uint32Array(copy.buffer);
    copy.forEach((value, i) => {
      if (Number.isNaN(value)) words[i] = 0x7fc00000;
    });
  }
  return {
    bytes: bytes.length,
    head: Buffer.from(bytes.subarray(0, 16)).toString('hex'),
    sha256: createHash('sha256').update(bytes).digest('hex'),
  };
}

function fourBit(values: Float32Array, type: FourBitType): FourBitGolden {
  const tensor = quantizeFourBit(values, type);
  const nested = quantizeScales(tensor.absmax);
  return {
    codes: digest(tensor.codes),
    absmax: digest(tensor.absmax),
    values: digest(dequantizeFourBit(tensor, type, values.length)),
    nestedCodes: digest(nested.codes),
    nestedAbsmax: digest(nested.absmax),
    offset: digest(Float32Array.of(nested.offset)),
    nestedValues: digest(
      dequantizeFourBit({ codes: tensor.codes, absmax: dequantizeScales(nested) }, type, values.length),
    ),
  };
}

it('holds 100 tensors', () => {
  expect(golden.tensors).toHaveLength(100);
});

it('has the map of 8-bit codes', () => {
  expect(digest(dynamicMap)).toEqual(golden.map);
});

describe.each(golden.tensors)('$name $shape $kind', (tensor) => {
  const values = inputOf(tensor);
  it('is made again', () => {
    expect(digest(values)).toEqual(tensor.input);
  });
  it.each(['nf4', 'fp4'] as const)('%s', (type) => {
    expect(fourBit(values, type)).toEqual(tensor[type]);
  });
  const { int8 } = tensor;
  if (int8) {
    it('int8', () => {
      const width = tensor.shape.at(-1)!;
      const quantized = quantizeEightBit(values, width);
      expect({
        codes: digest(quantized.codes),
        absmax: digest(quantized.absmax),
        values: digest(dequantizeEightBit(quantized, width)),
      }).toEqual(int8);
    });
  }
});

it('stretches of whole blocks give the same as the whole', () => {
  const values = inputOf(golden.tensors[60]!);
  const whole = quantizeFourBit(values, 'nf4');
  const first = quantizeFourBit(values.subarray(0, 640), 'nf4');
  const rest = quantizeFourBit(values.subarray(640), 'nf4');
  expect([...first.codes, ...rest.codes]).toEqual([...whole.codes]);
  expect([...first.absmax, ...rest.absmax]).toEqual([...whole.absmax]);
});

// Recorded from bitsandbytes 0.50.2: values so close to a bound that a reciprocal and a division fall on different sides of it.
it.each([
  [1.0477672815322876, 0.9026289582252502, 14, 15],
  [0.7113376259803772, 0.20772038400173187, 10, 11],
  [1.2091126441955566, 0.14540214836597443, 9, 8],
  [1.2300519943237305, 0.7906613945960999, 14, 13],
])(
  'of scale %f, %f is divided in a short last block and multiplied in a whole one',
  (scale, value, divided, multiplied) => {
    const whole = new Float32Array(64);
    whole.set([scale, value]);
    expect(quantizeFourBit(Float32Array.of(scale, value), 'nf4').codes[0]! & 15).toBe(divided);
    expect(quantizeFourBit(whole, 'nf4').codes[0]! & 15).toBe(multiplied);
  },
);
