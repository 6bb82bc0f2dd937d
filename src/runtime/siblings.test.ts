/** Sibling operations joined into one, run by onnxruntime, against the same operations apart. */
import { describe, expect, it } from 'vitest';
import * as g from '../graph/index.ts';
import { lowerGraph } from '../onnx/index.ts';
import { quantizeBlocks } from '../quant/index.ts';
import { hashKey, RandomStream } from '../util/index.ts';
import { compile, float32 } from './index.ts';

const options = { device: 'cpu', threads: 1, expandWeights: true, prepack: true } as const;
const [tokens, width, size] = [3, 64, 32];

function randoms(name: string, count: number): Float32Array {
  const random = new RandomStream(hashKey('siblings', name));
  return Float32Array.from({ length: count }, () => random.next() - 0.5);
}
const bytes = (array: Float32Array | Uint8Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const x = g.input('x', 'float32', ['N', width]);
const table = (name: string): g.Node => g.input(name, 'float32', ['N', 1, size / 2]);
const [cos, sin] = [table('cos'), table('sin')];
const feeds = {
  x: float32(randoms('x', tokens * width), [tokens, width]),
  ...Object.fromEntries(
    ['cos', 'sin'].map((name) => [name, float32(randoms(name, (tokens * size) / 2), [tokens, 1, size / 2])]),
  ),
};

const leaves = new Map<string, Uint8Array>();
function frozen(name: string, outputs: number, bits: number): (x: g.Node) => g.Node {
  const values = randoms(name, outputs * width);
  if (bits === 32) {
    leaves.set(name, bytes(values));
    return (input) => g.matmul(input, g.weight(name, 'float32', [outputs, width]), { transposeB: true });
  }
  const layout = { dtype: 'blocks', bits: bits as 4 | 8, shape: [outputs, width] } as const;
  const { codes, scales } = quantizeBlocks(values, width, layout.bits);
  leaves.set(`${name}.blocks`, bytes(codes)).set(`${name}.block_scales`, bytes(scales));
  return (input) => g.blockCodesMatmul(input, g.blockCodesWeight(name, layout), layout);
}

/** Queries, keys and values, turned and laid side by side, and a gated product, as models have them. */
function outputsWith(bits: number): Record<string, g.Node> {
  const heads = (node: g.Node): g.Node => g.reshape(node, ['N', (node.shape[1] as number) / size, size]);
  const flat = (node: g.Node): g.Node => g.reshape(node, ['N', (node.shape[1] as number) * size]);
  const q = g.rotary(heads(frozen('q', 64, bits)(x)), cos, sin);
  const k = g.rotary(heads(frozen('k', 32, bits)(x)), cos, sin);
  const v = frozen('v', 32, bits)(x);
  const gated = g.mul(g.silu(frozen('gate', 96, bits)(x)), frozen('up', 96, bits)(x));
  return { qkv: g.concat([flat(q), flat(k), v], 1), gated };
}

async function run(outputs: Record<string, g.Node>): Promise<Float32Array[]> {
  const program = await compile(outputs, (name) => leaves.get(name)!, options);
  const results = await program.run(feeds);
  await program.release();
  return Object.keys(outputs).map((name) => results[name]!.data as Float32Array);
}

describe.each([32, 8, 4])('weights of %i bits', (bits) => {
  it('the same numbers with one product and one rotation', async () => {
    const apart = outputsWith(bits);
    const together = g.joinSiblings(apart);
    const ops = (outputs: Record<string, g.Node>): string[] =>
      g.reachableNodes(Object.values(outputs)).map(({ op }) => op);
    const count = (outputs: Record<string, g.Node>, op: string): number =>
      ops(outputs).filter((each) => each === op).length;
    const product = bits === 32 ? 'matmul' : 'blockCodesMatmul';
    expect([count(apart, product), count(apart, 'rotary')]).toEqual([5, 2]);
    expect([count(together, product), count(together, 'rotary')]).toEqual([1, 1]);
    const expected = await run(apart);
    // values pass through the rotation: nothing is taken apart and put together again
    expect(count(together, 'concat')).toBe(count(apart, 'concat') - 1 + (bits === 32 ? 1 : 2));
    (await run(together)).forEach((values, i) => {
      values.forEach((value, j) => expect(Math.abs(value - expected[i]![j]!)).toBeLessThan(1e-5));
    });
  });
});

it('weights that move, and products of other rows, stay apart', () => {
  const moved = g.matmul(x, g.input('w', 'float32', [8, width]), { transposeB: true });
  const outputs = {
    moved,
    frozen: frozen('a', 8, 32)(x),
    other: frozen('b', 8, 32)(g.silu(x)),
  };
  expect(g.joinSiblings(outputs)).toEqual(outputs);
});

it('a sum and its norm are one node, unless the sum is read before its norm', () => {
  const y = g.input('y', 'float32', ['N', width]);
  const gain = g.weight('gain', 'float32', [width]);
  const isFused = (outputs: Record<string, g.Node>): boolean => {
    const model = lowerGraph(outputs, 'cpu', true).encode(() => bytes(new Float32Array(width)));
    return new TextDecoder('latin1').decode(model).includes('SkipSimplifiedLayerNormalization');
  };
  const sum = g.add(x, y);
  const norm = g.rmsNorm(sum, gain, 1e-5);
  expect(isFused({ norm, after: g.silu(sum) })).toBe(true);
  const second = g.add(x, y);
  const early = g.silu(second);
  expect(isFused({ early, norm: g.rmsNorm(second, gain, 1e-5) })).toBe(false);
});
