/** Products in integers, run by onnxruntime, against the same sums in JavaScript and against products in f32. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { gradients } from '../autodiff/index.ts';
import * as g from '../graph/index.ts';
import { dequantizeEightBit, quantizeEightBit } from '../quant/index.ts';
import { hashKey, RandomStream } from '../util/index.ts';
import { compile, float32, int64, takesIntegerProductsExactly } from './index.ts';

const options = { device: 'cpu', threads: 1 } as const;
const rows = 5;

function randoms(name: string, count: number): Float32Array {
  const random = new RandomStream(hashKey('integer-matmul', name));
  return Float32Array.from({ length: count }, () => random.next() - 0.5);
}

const bytes = (array: Float32Array | Int8Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** A weight in bytes both ways, and the values that they stand for. */
function makeWeight([outputs, inputs]: readonly [number, number]) {
  const tensor = quantizeEightBit(randoms('w', outputs * inputs), inputs);
  const turned = Int8Array.from(
    { length: outputs * inputs },
    (_, i) => tensor.codes[(i % outputs) * inputs + Math.floor(i / outputs)]!,
  );
  const leaves: Record<string, Uint8Array> = {
    w: bytes(tensor.codes),
    'w.transposed': bytes(turned),
    'w.absmax': bytes(tensor.absmax),
  };
  return { tensor, leaves, values: dequantizeEightBit(tensor, inputs) };
}

/** What a row's bytes stand for. */
function rounded(x: Float32Array, width: number, terms: 1 | 2): Float32Array {
  return Float32Array.from(x, (value, i) => {
    const row = x.subarray(i - (i % width), i - (i % width) + width);
    const step = Math.max(...row.map(Math.abs)) / 127;
    const first = Math.round(value / step);
    const second = terms === 2 ? Math.round((value / step - first) * 254) / 254 : 0;
    return (first + second) * step;
  });
}

function product(a: Float32Array, inner: number, at: (k: number, j: number) => number, outer: number): Float32Array {
  return Float32Array.from({ length: (a.length / inner) * outer }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += a[Math.floor(i / outer) * inner + k]! * at(k, i % outer);
    return sum;
  });
}

const largest = (a: Float32Array, b: Float32Array): number => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

/** Kernels that overflow cannot be compared with exact sums. */
const isExact = await takesIntegerProductsExactly();
const reason = isExact ? '' : ' (skipped: the kernels of this processor overflow)';

describe.skipIf(!isExact).each([
  [1, 1, true],
  [2, 1, true],
  [2, 2, false],
] as const)(`%i bytes forward, %i backward, both ways stored: %s${reason}`, (terms, gradient, bothWays) => {
  it.each([
    [64, 64],
    [30, 19],
    [7, 9],
    [3, 260],
  ] as const)('[%i, %i]: both directions are the sums of the rounded values', async (outputs, inputs) => {
    const { leaves, values } = makeWeight([outputs, inputs]);
    const layout = { dtype: 'int8', shape: [outputs, inputs], integer: { terms, gradient, bothWays } } as const;
    const x = g.input('x', 'float32', ['N', inputs]);
    const seed = g.input('seed', 'float32', ['N', outputs]);
    const y = g.integerMatmul(x, g.integerWeight('w', layout, true), layout, true);
    const [dx] = gradients([{ output: y, seed }], [x]);
    g.verify([y, dx!]);
    const program = await compile({ y, dx: dx! }, (name) => leaves[name]!, options);
    const xValues = randoms('x', rows * inputs);
    // a row of zeros has no scale
    xValues.fill(0, 0, inputs);
    const dyValues = randoms('dy', rows * outputs);
    const results = await program.run({
      x: float32(xValues, [rows, inputs]),
      seed: float32(dyValues, [rows, outputs]),
    });
    await program.release();
    const got = { y: results['y']!.data as Float32Array, dx: results['dx']!.data as Float32Array };
    const at = (j: number, k: number): number => values[j * inputs + k]!;
    const rest = xValues.subarray(inputs);
    expect(got.y.subarray(0, outputs).every((value) => value === 0)).toBe(true);
    expect(
      largest(
        got.y.subarray(outputs),
        product(rounded(rest, inputs, terms), inputs, (k, j) => at(j, k), outputs),
      ),
    ).toBeLessThan(2e-5);
    // the gradient is rounded after it is scaled for the weight's rows: near it, and nearer with two bytes
    const exact = product(dyValues, outputs, at, inputs);
    const norm = Math.hypot(...exact);
    expect(Math.hypot(...got.dx.map((value, i) => value - exact[i]!)) / norm).toBeLessThan(
      gradient === 2 ? 1e-4 : 2e-2,
    );
    const near = product(rest, inputs, (k, j) => at(j, k), outputs);
    const error = Math.hypot(...got.y.subarray(outputs).map((value, i) => value - near[i]!)) / Math.hypot(...near);
    expect(error).toBeLessThan(terms === 2 ? 1e-4 : 2e-2);
    expect(error).toBeGreaterThan(0);
  });
});

it.skipIf(!isExact)(`an output layer takes its gradient from the weight in floats${reason}`, async () => {
  const [vocabulary, width] = [11, 8] as const;
  const { leaves, values } = makeWeight([vocabulary, width]);
  const table = { name: 'table', dtype: 'float32' } as const;
  const layout = {
    dtype: 'int8',
    shape: [vocabulary, width],
    integer: { terms: 1, gradient: table, bothWays: true },
  } as const;
  const h = g.input('h', 'float32', ['R', width]);
  const labels = g.input('labels', 'int64', ['R', 1]);
  const seed = g.input('seed', 'float32', ['R', 1]);
  const lossOf = (logits: g.Node): g.Node => g.crossEntropy(logits, g.softmax(logits), labels);
  const gradient = (logits: g.Node): g.Node => gradients([{ output: lossOf(logits), seed }], [h])[0]!;
  const coded = gradient(g.integerMatmul(h, g.integerWeight('w', layout, true), layout, true));
  const plain = gradient(g.matmul(h, g.weight('table', 'float32', [vocabulary, width]), { transposeB: true }));
  g.verify([coded, plain]);
  const program = await compile(
    { coded, plain },
    (name) => (name === 'table' ? bytes(values) : leaves[name]!),
    options,
  );
  const results = await program.run({
    h: float32(randoms('h', rows * width), [rows, width]),
    labels: int64([0, 3, 10, 3, 1], [rows, 1]),
    seed: float32(new Float32Array(rows).fill(1), [rows, 1]),
  });
  await program.release();
  expect(largest(results['coded']!.data as Float32Array, results['plain']!.data as Float32Array)).toBeLessThan(2e-3);
});

it('products of wide rows are refused before their sums could leave 32 bits', () => {
  const layout = {
    dtype: 'int8',
    shape: [1, 140_000],
    integer: { terms: 1, gradient: 1, bothWays: false },
  } as const;
  const x = g.input('x', 'float32', ['N', 140_000]);
  expect(() => g.integerMatmul(x, g.integerWeight('w', layout, true), layout, true)).toThrow(/at most 132104 summands/);
});

it.runIf(process.arch === 'x64' && existsSync('/proc/cpuinfo'))(
  'the probe finds what the processor says of itself',
  () => {
    const flags = readFileSync('/proc/cpuinfo', 'utf8');
    expect(isExact).toBe(/\b(avx512_vnni|avx_vnni)\b/.test(flags));
  },
);
