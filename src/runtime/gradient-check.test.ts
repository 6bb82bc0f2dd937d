/** Every operation of the vocabulary, run by onnxruntime, and its gradient against central differences. */
import { describe, expect, it } from 'vitest';
import { gradients } from '../autodiff/index.ts';
import * as g from '../graph/index.ts';
import { hashKey, RandomStream } from '../util/index.ts';
import { compile, float32, int64, type TensorValue } from './index.ts';

interface Case {
  readonly inputs: readonly (readonly [shape: readonly number[], low: number, high: number])[];
  readonly build: (inputs: readonly g.Node[]) => g.Node;
  /** Other feeds and their nodes, e.g. indices. */
  readonly indices?: Readonly<Record<string, TensorValue>>;
  /** Bytes of frozen weights, by name. */
  readonly weights?: Readonly<Record<string, Uint8Array>>;
  /** Largest error, where values are rounded on the way; relative above 1. */
  readonly tolerance?: number;
  /** Gradients that flow on purpose to some inputs only. */
  readonly differentiable?: readonly number[];
}

const index = (name: string, shape: readonly number[]): g.Node => g.input(name, 'int64', shape);
const real = [-2, 2] as const;
const positive = [0.3, 2] as const;

const cases: Partial<Record<g.OpName, Case>> = {
  add: {
    inputs: [
      [[3, 4], ...real],
      [[4], ...real],
    ],
    build: ([a, b]) => g.add(a!, b!),
  },
  sub: {
    inputs: [
      [[3, 1], ...real],
      [[3, 4], ...real],
    ],
    build: ([a, b]) => g.sub(a!, b!),
  },
  mul: {
    inputs: [
      [[3, 4], ...real],
      [[3, 1], ...real],
    ],
    build: ([a, b]) => g.mul(a!, b!),
  },
  div: {
    inputs: [
      [[2, 3], ...real],
      [[2, 1], ...positive],
    ],
    build: ([a, b]) => g.div(a!, b!),
  },
  neg: { inputs: [[[5], ...real]], build: ([a]) => g.neg(a!) },
  exp: { inputs: [[[5], ...real]], build: ([a]) => g.exp(a!) },
  log: { inputs: [[[5], ...positive]], build: ([a]) => g.log(a!) },
  sqrt: { inputs: [[[5], ...positive]], build: ([a]) => g.sqrt(a!) },
  tanh: { inputs: [[[5], ...real]], build: ([a]) => g.tanh(a!) },
  sigmoid: { inputs: [[[5], ...real]], build: ([a]) => g.sigmoid(a!) },
  silu: { inputs: [[[7], ...real]], build: ([a]) => g.silu(a!) },
  gelu: {
    inputs: [[[2, 7], ...real]],
    build: ([a]) => g.concat([g.gelu(a!, 'none'), g.gelu(a!, 'tanh')], 1),
  },
  erf: { inputs: [[[5], ...real]], build: ([a]) => g.erf(a!) },
  cast: {
    inputs: [[[4], ...real]],
    build: ([a]) => g.mul(a!, g.cast(g.less(a!, g.scalar(0)), 'float32')),
  },
  where: {
    inputs: [
      [[2, 3], ...real],
      [[3], ...real],
    ],
    build: ([a, b]) =>
      g.where(
        g.and(
          g.greaterOrEqual(index('i', [2, 1]), index('j', [1, 3])),
          g.less(index('j', [1, 3]), g.scalar(2, 'int64')),
        ),
        a!,
        b!,
      ),
    indices: { i: int64([0, 2], [2, 1]), j: int64([0, 1, 2], [1, 3]) },
  },
  reduceSum: { inputs: [[[2, 3, 4], ...real]], build: ([a]) => g.mul(g.reduceSum(a!, [0, 2]), a!) },
  reduceMean: { inputs: [[[3, 4], ...real]], build: ([a]) => g.mul(g.reduceMean(a!, [-1]), a!) },
  matmul: {
    inputs: [
      [[2, 3, 4], ...real],
      [[2, 5, 4], ...real],
    ],
    build: ([a, b]) => g.matmul(a!, b!, { transposeB: true, alpha: 0.7 }),
  },
  // the weight is frozen
  adaptedMatmul: {
    inputs: [
      [[3, 4], ...real],
      [[2, 4], ...real],
      [[5, 2], ...real],
    ],
    build: ([x, a, b]) =>
      g.adaptedMatmul(x!, g.weight('w', 'float32', [5, 4]), a!, b!, { transposeB: true, scale: 0.5 }),
    weights: { w: new Uint8Array(Float32Array.from({ length: 20 }, (_, i) => Math.sin(i)).buffer) },
  },
  reshape: { inputs: [[[2, 6], ...real]], build: ([a]) => g.mul(g.reshape(a!, [3, 4]), g.reshape(a!, [3, 4])) },
  expand: { inputs: [[[2, 1], ...real]], build: ([a]) => g.mul(g.expand(a!, [2, 3]), g.constant([1, 2, 3], [3])) },
  transpose: {
    inputs: [[[2, 3, 4], ...real]],
    build: ([a]) => g.mul(g.transpose(a!, [2, 0, 1]), g.constant([1, 2, 3], [3])),
  },
  concat: {
    inputs: [
      [[2, 1], ...real],
      [[2, 3], ...real],
    ],
    build: ([a, b]) => g.concat([a!, b!, a!], 1),
  },
  slice: { inputs: [[[5, 3], ...real]], build: ([a]) => g.slice(a!, 0, 1, 3) },
  gather: {
    inputs: [[[4, 3], ...real]],
    build: ([a]) => g.gather(a!, index('i', [5])),
    indices: { i: int64([3, 0, 0, 2, 3]) },
  },
  scatterAdd: {
    inputs: [[[5, 2], ...real]],
    build: ([a]) => g.scatterAdd(a!, index('i', [5]), 4),
    indices: { i: int64([3, 0, 0, 2, 3]) },
  },
  permuteRows: {
    inputs: [[[3, 2], ...real]],
    build: ([a]) => {
      const padded = g.permuteRows(a!, index('slots', [4]), index('tokens', [3]), 'any');
      return g.permuteRows(padded, index('tokens', [3]), index('slots', [4]), 'none');
    },
    indices: { slots: int64([1, 2, 0, 3]), tokens: int64([2, 0, 1]) },
  },
  rmsNorm: {
    inputs: [
      [[3, 6], ...real],
      [[6], ...real],
    ],
    build: ([x, w]) => g.rmsNorm(x!, w!, 1e-5),
  },
  layerNorm: {
    inputs: [
      [[3, 6], ...real],
      [[6], ...real],
      [[6], ...real],
    ],
    build: ([x, w, b]) => g.layerNorm(x!, w!, b!, 1e-5),
  },
  rotary: {
    inputs: [[[2, 3, 4], ...real]],
    build: ([x]) =>
      g.rotary(x!, g.constant([0.8, 0.1, 0.3, 0.9], [2, 1, 2]), g.constant([0.6, 0.99, 0.95, 0.43], [2, 1, 2])),
  },
  crossEntropy: {
    inputs: [[[3, 5], ...real]],
    build: ([a]) => g.crossEntropy(a!, g.softmax(a!), index('labels', [3, 1])),
    indices: { labels: int64([4, 0, 2], [3, 1]) },
  },
  quantizedMatmul: {
    inputs: [[[2, 4], ...real]],
    build: ([x]) => {
      const layout = { dtype: 'nf4', shape: [3, 4], blockSize: 64 } as const;
      return g.quantizedMatmul(x!, g.quantizedWeight('w', layout), layout, true);
    },
    weights: {
      w: Uint8Array.of(0x1f, 0x28, 0x93, 0x4d, 0xe0, 0x65),
      'w.absmax': new Uint8Array(Float32Array.of(0.7).buffer),
    },
  },
  // the second group is empty; an adapter's product adds to it
  groupedMatmul: {
    inputs: [
      [[5, 4], ...real],
      [[2, 4], ...real],
      [[2, 4], ...real],
      [[2, 4], ...real],
    ],
    build: ([x, ...weights]) => {
      const bounds = g.constant([0, 2, 2, 5], [4], 'int64');
      const each = weights.map((weight) => [weight]);
      const y = g.groupedMatmul(x!, bounds, each, { transposeB: true, alpha: 0.7 });
      return g.groupedMatmul(y, bounds, each, { transposeB: false });
    },
  },
  integerMatmul: {
    inputs: [[[2, 4], ...real]],
    build: ([x]) => {
      const layout = { dtype: 'int8', shape: [3, 4], integer: { terms: 2, gradient: 2, bothWays: true } } as const;
      return g.integerMatmul(x!, g.integerWeight('w', layout, true), layout, true);
    },
    weights: {
      w: new Uint8Array(Int8Array.of(60, -3, 50, 0, -60, 9, 40, -57, 1, 2, 60, -50).buffer),
      'w.transposed': new Uint8Array(Int8Array.of(60, -60, 1, -3, 9, 2, 50, 40, 60, 0, -57, -50).buffer),
      'w.absmax': new Uint8Array(Float32Array.of(0.7, 1.1, 0.4).buffer),
    },
    // x is known to 1/16,000 of its row's largest value, and differences are taken over 1/64
    tolerance: 2e-2,
  },
  softmax: { inputs: [[[3, 5], ...real]], build: ([a]) => g.softmax(a!) },
  causalAttention: {
    inputs: [
      [[5, 4, 2], ...real],
      [[5, 2, 2], ...real],
      [[5, 2, 2], ...real],
    ],
    build: ([q, k, v]) => {
      const blocks = g.constant([0, 2, 0, 1, 2, 4, 0, 2, 4, 5, 4, 2], [3, 4], 'int64');
      const layout = { blocks, numbers: g.constant([0, 1, 2, 3, 4], [5]), starts: g.constant([0, 0, 0, 0, 4], [5]) };
      return g.causalAttention(q!, k!, v!, layout, {
        scale: 0.6,
        window: 3,
        softCap: 2,
        alibi: { slopes: [1, 0.5, 0.25, 0.1] },
      });
    },
  },
  cut: { inputs: [[[3], ...real]], build: ([a]) => g.cut(a!, 0) },
};

/** Operations without a gradient, with the reason. */
const withoutGradient: Partial<Record<g.OpName, string>> = {
  blockCodesMatmul: 'for decoding only',
  jointSoftmax: 'for decoding only',
  input: 'a leaf',
  weight: 'a leaf that does not move',
  constant: 'a leaf that does not move',
  greaterOrEqual: 'bool result',
  less: 'bool result',
  equal: 'bool result',
  and: 'bool result',
  reduceMax: 'used for numerical safety only, where it cancels',
  crossEntropyGradient: 'is a gradient itself; checked through crossEntropy',
  causalAttentionGradient: 'is a gradient itself; checked through causalAttention',
  groupedOuter: 'is a gradient itself; checked through groupedMatmul',
  order: 'positions',
  rmsScale: 'part of a gradient',
  mergedWeight: 'part of a gradient',
};

const options = { device: 'cpu', threads: 1 } as const;

describe('gradient of every operation', () => {
  it('leaves none out', () => {
    for (const op of Object.keys(g.operations) as g.OpName[]) {
      expect(op in cases || op in withoutGradient, op).toBe(true);
      expect(g.operations[op].gradient === null, op).toBe(op in withoutGradient);
    }
  });

  const outputLayer: Case = {
    inputs: [[[3, 4], ...real]],
    build: ([h]) => {
      const table = g.constant(
        Array.from({ length: 20 }, (_, i) => Math.sin(i)),
        [5, 4],
      );
      const logits = g.matmul(h!, table, { transposeB: true, alpha: 0.5 });
      return g.crossEntropy(logits, g.softmax(logits), index('labels', [3, 1]));
    },
    indices: { labels: int64([4, 0, 2], [3, 1]) },
  };

  it.each([...Object.entries(cases), ['crossEntropy through an output layer', outputLayer] as const])(
    '%s',
    async (op, test) => {
      const random = new RandomStream(hashKey('gradient-check', op));
      const nodes = test.inputs.map(([shape], i) => g.input(`x${i}`, 'float32', shape));
      const result = test.build(nodes);
      const size = g.elementCount(result.shape);
      const seedValues = Array.from({ length: size }, () => random.next() - 0.5);
      const seed = g.constant(seedValues, result.shape as number[]);
      const flows = gradients([{ output: result, seed }], nodes);
      const outputs: Record<string, g.Node> = { y: result };
      flows.forEach((flow, i) => {
        expect(flow, `input ${i}`).not.toBeNull();
        expect(g.sameShape(flow!.shape, nodes[i]!.shape)).toBe(true);
        outputs[`g${i}`] = flow!;
      });
      g.verify(Object.values(outputs));
      const program = await compile(outputs, (name) => test.weights?.[name] ?? new Uint8Array(), options);
      const feeds: Record<string, TensorValue> = { ...test.indices };
      test.inputs.forEach(([shape, low, high], i) => {
        const data = Float32Array.from({ length: g.elementCount(shape) }, () => low + (high - low) * random.next());
        feeds[`x${i}`] = float32(data, shape);
      });
      const analytic = await program.run(feeds);
      const value = async (): Promise<number> => {
        const { y } = await program.run(feeds);
        return (y!.data as Float32Array).reduce((sum, v, i) => sum + v * seedValues[i]!, 0);
      };
      for (let i = 0; i < nodes.length; i++) {
        const data = feeds[`x${i}`]!.data as Float32Array;
        for (let k = 0; k < data.length; k++) {
          const original = data[k]!;
          const step = 1 / 128;
          data[k] = original + step;
          const above = await value();
          data[k] = original - step;
          const below = await value();
          data[k] = original;
          const expected = (above - below) / (2 * step);
          const got = (analytic[`g${i}`]!.data as Float32Array)[k]!;
          expect(Math.abs(got - expected), `input ${i}[${k}]: ${got} against ${expected}`).toBeLessThan(
            (test.tolerance ?? 2e-3) * Math.max(1, Math.abs(expected)),
          );
        }
      }
      await program.release();
    },
  );
});
