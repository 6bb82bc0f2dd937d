/** Passes over graphs leave what is computed as it is, and take the operations out that they are for. */
import { expect, it } from 'vitest';
import { gradients } from '../autodiff/index.ts';
import * as g from '../graph/index.ts';
import { hashKey, RandomStream } from '../util/index.ts';
import { compile, float32, int64, type TensorValue } from './index.ts';

const random = new RandomStream(hashKey('graph passes'));
const values = (...shape: number[]): TensorValue =>
  float32(
    Float32Array.from({ length: g.elementCount(shape) }, () => random.next() - 0.5),
    shape,
  );
const weights: Record<string, TensorValue> = { q: values(6, 4), k: values(3, 4), wide: values(4, 9), bias: values(3) };
const feeds: Record<string, TensorValue> = {
  x: values(7, 4),
  rows: int64([5, 0, 3], [3]),
  qA: values(2, 4),
  qB: values(6, 2),
  kA: values(1, 4),
  kB: values(3, 1),
  wideA: values(2, 9),
  wideB: values(4, 2),
};

const input = (name: string, first?: string): g.Node =>
  g.input(name, feeds[name]!.dtype, first ? [first, ...feeds[name]!.shape.slice(1)] : feeds[name]!.shape);
const weight = (name: string): g.Node => g.weight(name, 'float32', weights[name]!.shape);

/** x through a module and its adapter. */
function adapted(x: g.Node, name: 'q' | 'k' | 'wide', scale: number, bias?: g.Node): g.Node {
  const product = g.matmul(x, weight(name), { transposeB: true });
  const low = g.matmul(x, input(`${name}A`), { transposeB: true });
  const high = g.matmul(low, input(`${name}B`), { transposeB: true, alpha: scale });
  return g.add(bias ? g.add(product, bias) : product, high);
}

/** Two modules that read the same rows, then one that reads both results: all of it row by row. */
function model(): g.Node {
  const x = g.sigmoid(input('x', 'N'));
  const both = g.concat([adapted(x, 'q', 0.5), adapted(x, 'k', 2, weight('bias'))], 1);
  return g.add(x, adapted(g.silu(both), 'wide', 1.5));
}

async function run(outputs: Readonly<Record<string, g.Node>>): Promise<Record<string, number[]>> {
  g.verify(Object.values(outputs));
  const bytes = (name: string): Uint8Array => new Uint8Array((weights[name]!.data as Float32Array).buffer);
  const program = await compile(outputs, bytes, { device: 'cpu', threads: 1 });
  const results = await program.run(feeds);
  await program.release();
  return Object.fromEntries(
    Object.keys(outputs).map((name) => [
      name,
      [...(results[name]!.data as Float32Array)].map((v) => Number(v.toFixed(5))),
    ]),
  );
}

const count = (outputs: Readonly<Record<string, g.Node>>, op: g.OpName, fits: (node: g.Node) => boolean = () => true) =>
  g.reachableNodes(Object.values(outputs)).filter((node) => node.op === op && fits(node)).length;

/** The gradients of the adapters of `y`. */
function withGradients(y: g.Node): Record<string, g.Node> {
  const names = ['qA', 'qB', 'kA', 'kB', 'wideA', 'wideB', 'x'];
  const inputs = new Map(
    g
      .reachableNodes([y])
      .flatMap((node) => (node.op === 'input' ? [[(node as g.Node<'input'>).attributes.name, node]] : [])),
  );
  const wanted = names.map((name) => inputs.get(name)!);
  const flows = gradients([{ output: y, seed: g.mul(y, y) }], wanted);
  return { y, ...Object.fromEntries(flows.map((flow, i) => [`gradient ${names[i]!}`, flow!])) };
}

it('merges adapters of modules up to a width', async () => {
  const apart = withGradients(oneNodeForEach(model()));
  const [merged] = g.mergeAdapters([apart['y']!], 4);
  const outputs = withGradients(merged!);
  // the one with 9 inputs stays
  expect(count(outputs, 'adaptedMatmul')).toBe(2);
  expect(count(withGradients(g.mergeAdapters([apart['y']!], 9)[0]!), 'adaptedMatmul')).toBe(3);
  expect(await run(outputs)).toEqual(await run(apart));
});

it('merges adapters for the gradient that a module with few outputs gives on', async () => {
  const apart = withGradients(oneNodeForEach(model()));
  const merged = g.mergeGradients(apart, 4);
  expect(count(merged, 'mergedWeight')).toBe(1);
  expect(count(g.mergeGradients(apart, 3), 'mergedWeight')).toBe(0);
  expect(await run(merged)).toEqual(await run(apart));
});

it('joins thin products of the same rows', async () => {
  for (const width of [0, 9]) {
    const apart = withGradients(g.mergeAdapters([oneNodeForEach(model())], width)[0]!);
    const joined = g.joinThinProducts(apart);
    const thin = (node: g.Node): boolean => [...node.shape, ...node.inputs[0]!.shape].some((size) => size === 3);
    expect(count(joined, 'matmul')).toBe(count(apart, 'matmul') - 3);
    expect(count(joined, 'matmul', thin)).toBeGreaterThan(0);
    expect(await run(joined)).toEqual(await run(apart));
  }
});

it('chooses rows before what is computed of them', async () => {
  const late = g.gather(g.softmax(g.silu(oneNodeForEach(model()))), input('rows'));
  const [early] = g.gatherEarly([late]);
  // softmax is not among what it moves
  expect(early).toBe(late);
  const chosen = g.gather(oneNodeForEach(model()), input('rows'));
  const [before] = g.gatherEarly([chosen]);
  const outputs = { y: before! };
  expect(count(outputs, 'matmul', ({ shape }) => shape[0] === 'N')).toBe(6);
  expect(count(outputs, 'matmul', ({ shape }) => shape[0] === 3)).toBe(3);
  expect(await run(outputs)).toEqual(await run({ y: chosen }));
  // a result that others read as a whole is computed as a whole
  const whole = oneNodeForEach(model());
  const [kept] = g.gatherEarly([g.gather(whole, input('rows')), whole]);
  expect(count({ y: kept! }, 'matmul', ({ shape }) => shape[0] === 3)).toBe(0);
});

/** The graph with each input and weight standing once. */
function oneNodeForEach(y: g.Node): g.Node {
  const known = new Map<string, g.Node>();
  return g.rewrite([y], (node) => {
    if (node.op !== 'input' && node.op !== 'weight') return undefined;
    const key = `${node.op} ${(node as g.Node<'input'>).attributes.name}`;
    const first = known.get(key) ?? node;
    known.set(key, first);
    return first;
  })[0]!;
}
