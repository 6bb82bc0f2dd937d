/** Products with weights in codes, run by onnxruntime, against products with the values that the codes stand for. */
import { describe, expect, it } from 'vitest';
import { gradients } from '../autodiff/index.ts';
import * as g from '../graph/index.ts';
import {
  dequantizeEightBit,
  dequantizeFourBit,
  dequantizeScales,
  dynamicMap,
  nestedBlockSize,
  quantizeEightBit,
  quantizeFourBit,
  quantizeScales,
} from '../quant/index.ts';
import { hashKey, RandomStream } from '../util/index.ts';
import { compile, float32, int64 } from './index.ts';

const options = { device: 'cpu', threads: 1 } as const;

function randoms(name: string, count: number): Float32Array {
  const random = new RandomStream(hashKey('quantized-matmul', name));
  return Float32Array.from({ length: count }, () => random.next() - 0.5);
}

const bytes = (array: Float32Array | Uint8Array | Int8Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** A weight in codes: its layout, the bytes of its leaves, and the values that they stand for. */
function makeWeight(shape: readonly [number, number], dtype: 'nf4' | 'fp4' | 'int8', nested: boolean, name = 'w') {
  const values = randoms(`${name} ${shape.join('x')}`, shape[0] * shape[1]).map((value) => value * name.length);
  if (dtype === 'int8') {
    const tensor = quantizeEightBit(values, shape[1]);
    return {
      layout: { dtype, shape },
      leaves: { w: bytes(tensor.codes), 'w.absmax': bytes(tensor.absmax) } as Record<string, Uint8Array>,
      expanded: dequantizeEightBit(tensor, shape[1]),
    };
  }
  const tensor = quantizeFourBit(values, dtype);
  const scales = quantizeScales(tensor.absmax);
  const leaves: Record<string, Uint8Array> = nested
    ? {
        w: tensor.codes,
        'w.absmax': scales.codes,
        'w.nested_quant_map': bytes(dynamicMap),
        'w.nested_absmax': bytes(scales.absmax),
        'w.nested_offset': bytes(Float32Array.of(scales.offset)),
      }
    : { w: tensor.codes, 'w.absmax': bytes(tensor.absmax) };
  const absmax = nested ? dequantizeScales(scales) : tensor.absmax;
  return {
    layout: { dtype, shape, blockSize: 64, ...(nested ? { nestedBlockSize } : {}) },
    leaves,
    expanded: dequantizeFourBit({ codes: tensor.codes, absmax }, dtype, values.length),
  };
}

const shapes: (readonly [number, number])[] = [
  [64, 64],
  [300, 192],
  [13, 60],
  [7, 9],
  [31, 96],
  [3, 22],
];
const forms = [
  ['nf4', true],
  ['nf4', false],
  ['fp4', true],
  ['int8', false],
] as const;

describe.each(forms)('%s, nested %s', (dtype, nested) => {
  it.each(shapes)('[%i, %i]: forward and backward equal the expanded weight', async (outputs, inputs) => {
    const { layout, leaves, expanded } = makeWeight([outputs, inputs], dtype, nested);
    const x = g.input('x', 'float32', ['N', inputs]);
    const seed = g.input('seed', 'float32', ['N', outputs]);
    const results = (y: g.Node): Record<string, g.Node> => ({ y, dx: gradients([{ output: y, seed }], [x])[0]! });
    const coded = results(g.quantizedMatmul(x, g.quantizedWeight('w', layout), layout, true));
    g.verify(Object.values(coded));
    const plain = results(g.matmul(x, g.input('plain', 'float32', [outputs, inputs]), { transposeB: true }));
    const rows = 5;
    const feeds = {
      x: float32(randoms('x', rows * inputs), [rows, inputs]),
      seed: float32(randoms('seed', rows * outputs), [rows, outputs]),
      plain: float32(expanded, [outputs, inputs]),
    };
    const expected = await (await compile(plain, () => new Uint8Array(), options)).run(feeds);
    for (const expandWeights of [false, true]) {
      const program = await compile(coded, (name) => leaves[name]!, { ...options, expandWeights });
      const actual = await program.run(feeds);
      await program.release();
      for (const name of ['y', 'dx']) {
        const a = actual[name]!.data as Float32Array;
        const b = expected[name]!.data as Float32Array;
        expect(actual[name]!.shape).toEqual(expected[name]!.shape);
        // 8-bit scales are applied to the products, not to the weight
        const tolerance = dtype === 'int8' ? 5e-6 : 0;
        expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))).toBeLessThanOrEqual(tolerance);
      }
    }
  });
});

it('a weight larger than one stretch is expanded piece by piece', async () => {
  const shape = [4160, 4096] as const;
  const layout = { dtype: 'nf4', shape, blockSize: 64 } as const;
  expect(g.expandedRows(layout)).toEqual([
    [0, 2080],
    [2080, 4160],
  ]);
  // one scale for all: every code of 15 stands for that scale
  const leaves: Record<string, Uint8Array> = {
    w: new Uint8Array((shape[0] * shape[1]) / 2).fill(0xff),
    'w.absmax': bytes(
      Float32Array.from({ length: (shape[0] * shape[1]) / 64 }, (_, block) => 1 + Math.floor(block / 64)),
    ),
  };
  const x = g.input('x', 'float32', ['N', shape[1]]);
  const seed = g.input('seed', 'float32', ['N', shape[0]]);
  const y = g.quantizedMatmul(x, g.quantizedWeight('w', layout), layout, true);
  const [dx] = gradients([{ output: y, seed }], [x]);
  const program = await compile({ y, dx: dx! }, (name) => leaves[name]!, options);
  const first = new Float32Array(shape[1]);
  first[0] = 1;
  const last = new Float32Array(shape[0]);
  last[shape[0] - 1] = 1;
  last[0] = 1;
  const results = await program.run({ x: float32(first, [1, shape[1]]), seed: float32(last, [1, shape[0]]) });
  await program.release();
  // row r has the scale r + 1
  expect((results['y']!.data as Float32Array).every((value, row) => value === row + 1)).toBe(true);
  expect((results['dx']!.data as Float32Array).every((value) => value === shape[0] + 1)).toBe(true);
});

it.each([
  ['nf4', true],
  ['fp4', false],
  ['int8', false],
] as const)(
  '%s (nested: %s): weights of a group are expanded together, each with its own scales',
  async (dtype, nested) => {
    // more weights than are expanded at a time
    const shape = [1024, 1024] as const;
    const kinds = ['w', 'ww', 'www'].map((name) => makeWeight(shape, dtype, nested, name));
    const made = Array.from({ length: 9 }, (_, e) => kinds[(e * e) % 3]!);
    const layout = made[0]!.layout as g.QuantizedLayout;
    expect(g.stackedWeights(layout, 9)).toBe(8);
    const x = g.input('x', 'float32', ['M', 1024]);
    const bounds = g.input('bounds', 'int64', [10]);
    const names = made.map((_, e) => `${e}`);
    const weights = names.map((name) => g.quantizedWeight(name, layout));
    const outputs = {
      y: g.groupedMatmul(x, bounds, weights, { transposeB: true, layout }),
      back: g.groupedMatmul(x, bounds, weights, { transposeB: false, layout, alpha: 2 }),
    };
    const leafOf = (name: string): Uint8Array => made[Number(name[0])]!.leaves[`w${name.slice(1)}`]!;
    const cuts = [0, 2, 2, 3, 5, 5, 5, 6, 7, 9];
    const rows = randoms('rows', 9 * 1024);
    const feeds = { x: float32(rows, [9, 1024]), bounds: int64(cuts) };
    const program = await compile(outputs, leafOf, options);
    const { y, back } = await program.run(feeds);
    await program.release();
    made.forEach(({ expanded }, e) => {
      for (let row = cuts[e]!; row < cuts[e + 1]!; row++) {
        for (const column of [0, 513, 1023]) {
          let [forward, backward] = [0, 0];
          for (let i = 0; i < 1024; i++) {
            forward += rows[row * 1024 + i]! * expanded[column * 1024 + i]!;
            backward += 2 * rows[row * 1024 + i]! * expanded[i * 1024 + column]!;
          }
          expect((y!.data as Float32Array)[row * 1024 + column]).toBeCloseTo(forward, 3);
          expect((back!.data as Float32Array)[row * 1024 + column]).toBeCloseTo(backward, 3);
        }
      }
    });
  },
);
