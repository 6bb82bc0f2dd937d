/** Grouped products and sorting against plain JavaScript, with empty groups and weights stored in several ways. */
import { describe, expect, it } from 'vitest';
import * as g from '../graph/index.ts';
import { encodeFloats } from '../formats/index.ts';
import { dequantizeFourBit, quantizeFourBit } from '../quant/index.ts';
import { hashKey, RandomStream } from '../util/index.ts';
import { compile, float32, int64 } from './index.ts';

const options = { device: 'cpu', threads: 2 } as const;
const random = new RandomStream(hashKey('grouped-product'));
const values = (count: number): Float32Array => Float32Array.from({ length: count }, () => 2 * random.next() - 1);

/** Rows of each group times its weight [out, in] transposed. */
function expected(
  x: Float32Array,
  bounds: readonly number[],
  weights: readonly Float32Array[],
  inputs: number,
): number[] {
  const result: number[] = [];
  weights.forEach((weight, e) => {
    for (let row = bounds[e]!; row < bounds[e + 1]!; row++) {
      for (let o = 0; o < weight.length / inputs; o++) {
        let sum = 0;
        for (let i = 0; i < inputs; i++) sum += x[row * inputs + i]! * weight[o * inputs + i]!;
        result.push(sum);
      }
    }
  });
  return result;
}

function expectClose(actual: ArrayLike<number>, wanted: readonly number[]): void {
  expect(actual.length).toBe(wanted.length);
  const worst = Math.max(0, ...wanted.map((value, i) => Math.abs(value - actual[i]!)));
  expect(worst).toBeLessThan(1e-5);
}

describe('groupedMatmul', () => {
  const [outputs, inputs] = [6, 64];
  const cuts = [
    [0, 3, 3, 7],
    [0, 0, 7, 7],
    [0, 0, 0, 0],
  ];

  it.each(['float32', 'float16', 'bfloat16'] as const)('weights in %s, empty groups', async (dtype) => {
    const x = g.input('x', 'float32', ['M', inputs]);
    const bounds = g.input('bounds', 'int64', [4]);
    const weights = [0, 1, 2].map((e) => g.weight(`w${e}`, dtype, [outputs, inputs]));
    const y = g.groupedMatmul(
      x,
      bounds,
      weights.map((weight) => [weight]),
      { transposeB: true },
    );
    g.verify([y]);
    const floats = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const;
    // multiples of 1/64 below 1 are exact in all three
    const stored = weights.map(() => values(outputs * inputs).map((value) => Math.round(value * 64) / 64));
    const bytes = stored.map((weight) => encodeFloats(weight, floats[dtype]));
    const program = await compile({ y }, (name) => bytes[Number(name.slice(1))]!, options);
    for (const cut of cuts) {
      const rows = values(cut.at(-1)! * inputs);
      const result = await program.run({ x: float32(rows, [cut.at(-1)!, inputs]), bounds: int64(cut) });
      expectClose(result['y']!.data as Float32Array, expected(rows, cut, stored, inputs));
    }
    await program.release();
  });

  it('weights in 4 bits, both ways', async () => {
    const layout = { dtype: 'nf4', shape: [outputs, inputs], blockSize: 64 } as const;
    const x = g.input('x', 'float32', ['M', inputs]);
    const bounds = g.input('bounds', 'int64', [4]);
    const weights = [0, 1, 2].map((e) => g.quantizedWeight(`w${e}`, layout));
    const y = g.groupedMatmul(x, bounds, weights, { transposeB: true, layout });
    const back = g.groupedMatmul(y, bounds, weights, { transposeB: false, layout });
    g.verify([back]);
    const stored = [0, 1, 2].map(() => quantizeFourBit(values(outputs * inputs), 'nf4'));
    const expanded = stored.map((tensor) => dequantizeFourBit(tensor, 'nf4', outputs * inputs));
    const locate = (name: string): Uint8Array => {
      const { codes, absmax } = stored[Number(name[1])]!;
      return name.endsWith('.absmax') ? new Uint8Array(absmax.buffer, absmax.byteOffset, absmax.byteLength) : codes;
    };
    const program = await compile({ y, back }, locate, options);
    for (const cut of cuts) {
      const rows = values(cut.at(-1)! * inputs);
      const result = await program.run({ x: float32(rows, [cut.at(-1)!, inputs]), bounds: int64(cut) });
      const forward = expected(rows, cut, expanded, inputs);
      expectClose(result['y']!.data as Float32Array, forward);
      const transposed = expanded.map((weight) =>
        Float32Array.from(
          { length: weight.length },
          (_, i) => weight[(i % outputs) * inputs + Math.floor(i / outputs)]!,
        ),
      );
      const backward = expected(Float32Array.from(forward), cut, transposed, outputs);
      expect(backward.length).toBe(result['back']!.data.length);
      backward.forEach((value, i) => expect((result['back']!.data as Float32Array)[i]).toBeCloseTo(value, 4));
    }
    await program.release();
  });
});

it('order sorts stably and takes the greatest', async () => {
  const a = g.input('a', 'float32', ['N', 5]);
  const b = g.input('b', 'int64', ['M']);
  const program = await compile(
    { top: g.order(a, 'descending', 2), sorted: g.order(b, 'ascending') },
    () => new Uint8Array(),
    options,
  );
  const keys = Array.from({ length: 3000 }, () => Math.floor(random.next() * 7));
  const { top, sorted } = await program.run({
    a: float32(Float32Array.of(1, 3, 3, 2, 0, -1, -2, -1, -3, -4), [2, 5]),
    b: int64(keys),
  });
  expect(Array.from(top!.data as BigInt64Array, Number)).toEqual([1, 2, 0, 2]);
  const wanted = keys.map((_, i) => i).sort((i, j) => keys[i]! - keys[j]! || i - j);
  expect(Array.from(sorted!.data as BigInt64Array, Number)).toEqual(wanted);
  await program.release();
});
