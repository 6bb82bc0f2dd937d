/** Peaks follow the execution: what is alive at once, and the holes that tensors leave in the heap. */
import { expect, it } from 'vitest';
import * as g from './index.ts';

const megabyte = 1 << 20;

function blockLayout() {
  return {
    blocks: g.input('blocks', 'int64', ['M', 4]),
    numbers: g.input('numbers', 'float32', ['N']),
    starts: g.input('starts', 'float32', ['N']),
  };
}

it('counts what is alive at once', () => {
  const x = g.input('x', 'float32', ['N', 4]);
  // 64 bytes a token, and gone when the sum stands; the last two of 16 bytes a token stand together, and the copy of the result
  const wide = g.concat([x, x, x, x], 1);
  const narrow = g.neg(g.reduceSum(wide, [1]));
  const results = [g.exp(g.add(x, narrow))];
  const headers = 256;
  const expected = (64 + 4) * 10_000;
  expect(g.peakBytes(results, { N: 10_000 })).toBeGreaterThanOrEqual(expected);
  expect(g.peakBytes(results, { N: 10_000 })).toBeLessThan(expected + headers);
});

it('writes a softmax over its input only where no cast hides the shape', () => {
  const x = g.input('x', 'float32', ['N', 64]);
  const table = g.weight('table', 'float32', [1000, 64]);
  const half = g.cast(g.weight('half', 'bfloat16', [1000, 64]), 'float32');
  const peak = (weight: g.Node): number =>
    g.peakBytes([g.reduceSum(g.softmax(g.matmul(x, weight, { transposeB: true })), [1])], { N: 1000 });
  const logits = 4 * megabyte * 0.95;
  expect(peak(half) - peak(table)).toBeGreaterThan(logits);
});

it('lets a product add to the other term of a sum by itself, with no tensor of its own', () => {
  const x = g.input('x', 'float32', ['N', 64]);
  const other = g.exp(g.concat([x, x, x, x], 1));
  const product = g.matmul(x, g.weight('w', 'float32', [64, 256]));
  const mebibytes = (outputs: readonly g.Node[]): number => g.peakBytes(outputs, { N: 1024 }) / megabyte;
  // the other term and the sum, then the sum and its copy; where the product is a result too, it stands beside them
  expect(mebibytes([g.add(other, product)])).toBeCloseTo(2, 1);
  expect(mebibytes([g.add(other, product), product])).toBeCloseTo(4, 1);
  const sum = g.add(other, product);
  expect(g.scheduleOf([sum]).steps.map(({ node }) => node)).not.toContain(product);
  // what the product reads stands until the sum does
  const read = g.exp(x);
  const late = g.add(other, g.matmul(read, g.weight('w', 'float32', [64, 256])));
  expect(mebibytes([late])).toBeCloseTo(2.25, 1);
  // of two products the younger adds to the older
  const [older, younger] = [g.matmul(x, g.weight('a', 'float32', [64, 256])), product];
  const [first, second] = older.id < younger.id ? [older, younger] : [younger, older];
  const both = g.scheduleOf([g.add(older, younger)]).steps.map(({ node }) => node);
  expect(both).toContain(first);
  expect(both).not.toContain(second);
});

it('expands a weight in codes stretch by stretch; backward each product is the sum so far', () => {
  const layout = { dtype: 'nf4', shape: [12_288, 4096], blockSize: 64, nestedBlockSize: 256 } as const;
  const parts = g.quantizedWeight('w', layout);
  const peak = (columns: number, transposeB: boolean): number =>
    g.peakBytes([g.quantizedMatmul(g.input('x', 'float32', ['N', columns]), parts, layout, transposeB)], { N: 256 });
  // two copies of 4,096 rows, the scales before and after their offset, and the products when the last stretch is scaled
  const fixed = 2 * 64 + 2 * 3;
  expect(peak(4096, true) / megabyte).toBeCloseTo(fixed + 2 * 4, 0);
  expect(peak(12_288, false) / megabyte).toBeCloseTo(fixed + 4, 0);
});

it('plays attention block by block: tiles that shrink, and results that wait in small pieces', () => {
  const [heads, groups, size, tokens] = [16, 2, 64, 4096];
  const part = (name: string, count: number): g.Node => g.input(name, 'float32', ['N', count, size]);
  const layout = blockLayout();
  const loopOf = (rule: Partial<g.ScoreRule>) => {
    const result = g.causalAttention(part('q', heads), part('k', groups), part('v', groups), layout, {
      scale: 0.125,
      ...rule,
    });
    return g.measureRun(g.scheduleOf([result]), { N: tokens, T: tokens }).blocks[0]!.loop!;
  };
  const { inputs, passes } = loopOf({});
  const key = tokens * groups * size * 4;
  expect(inputs).toEqual([key, key]);
  expect(passes.map(({ pieces }) => pieces)).toEqual(
    Array.from({ length: 16 }, () => [(tokens * heads * size * 4) / 16]),
  );
  // one key head at a time, 128 queries of its 8 heads: over all keys first, over a sixteenth of them at last
  const scores = passes.map(({ inside }) => inside.at(-1)!);
  expect(scores[0]).toBe(128 * 8 * tokens * 4);
  expect(scores.at(-1)! / groups).toBe(scores[0]! / 16);
  const windowed = loopOf({ window: 256 }).passes.map(({ inside }) => inside.at(-1)!);
  expect(new Set(windowed.slice(0, -1))).toEqual(new Set([128 * 16 * (256 + 128) * 4]));
});

it('frees the tiles of attention after each block, and what its loop reads before the pieces are joined', () => {
  const [tokens, size] = [4096, 64];
  const part = (name: string): g.Node => g.input(name, 'float32', ['N', 1, size]);
  const [q, k, v] = [part('q'), part('k'), part('v')];
  const layout = blockLayout();
  const mebibytes = (node: g.Node): number => g.peakBytes([node], { N: tokens, T: tokens }) / megabyte;
  const forward = (rule: Partial<g.ScoreRule>): number =>
    mebibytes(g.causalAttention(q, k, v, layout, { scale: 0.125, ...rule }));
  // keys, values and the result are 1 each, scores of 128 queries 2: both inputs, the first block's keys and scores, its piece
  expect(forward({})).toBeCloseTo(2 + 2 * 1 + 2 * 2 + 1 / 16, 1);
  // behind a window the last block has most: all pieces beside the inputs and small tiles
  const share = 256 / tokens;
  expect(forward({ window: 128 })).toBeCloseTo(2 + 2 * share + 2 * 2 * share + 1, 1);
  const rows = (name: string): g.Node => g.input(name, 'float32', ['N', size]);
  const read = [q, k, v, layout.blocks, layout.numbers, layout.starts];
  const gradient = g.causalAttentionGradient(read, rows('y'), rows('dy'), { scale: 0.125 }, 'blocks', 'q');
  expect(mebibytes(gradient)).toBeCloseTo(3 + 4 * 1 + 4 * 2 + 5 * 1 + 3 / 16, 1);
});

it('gives freed places to the smallest that fits, joins neighbours and never shrinks', () => {
  const heap = new g.Heap(Infinity);
  const tensors = [3, 1, 2, 1].map((size) => heap.take(size * megabyte));
  const full = heap.peak;
  heap.give(tensors[0]!);
  heap.give(tensors[2]!);
  // into the place of 2, and not into that of 3
  heap.take(1.5 * megabyte);
  const large = heap.take(2.9 * megabyte);
  expect(heap.peak).toBe(full);
  // the places of 3 and 1 become one of 4
  heap.give(large);
  heap.give(tensors[1]!);
  heap.take(3.9 * megabyte);
  expect(heap.peak).toBe(full);
  heap.take(megabyte);
  expect(heap.peak).toBeGreaterThan(full);
});

it('leaves a hole where an object of another tensor stands in the way of one of the same size', () => {
  const heap = new g.Heap(Infinity);
  const first = heap.take(megabyte);
  heap.take(megabyte);
  const full = heap.peak;
  heap.give(first);
  // takes the end of the hole
  heap.take(0);
  heap.take(megabyte);
  expect(heap.peak).toBeGreaterThan(full + 0.9 * megabyte);
});

it('maps large tensors only where the heap has no room', () => {
  const heap = new g.Heap(4 * megabyte);
  const parts = [heap.take(3 * megabyte), heap.take(3 * megabyte)];
  const small = heap.peak;
  const mapped = heap.take(5 * megabyte);
  expect(heap.peak - small).toBeGreaterThan(4.9 * megabyte);
  heap.give(mapped);
  for (const part of parts) heap.give(part);
  const most = heap.peak;
  heap.take(5 * megabyte);
  heap.map(4 * megabyte);
  expect(heap.peak).toBe(most);
  heap.map(4 * megabyte);
  expect(heap.peak).toBeGreaterThan(most);
  expect(heap.filesAtPeak).toBe(8 * megabyte);
});
