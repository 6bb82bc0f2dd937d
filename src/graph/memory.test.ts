/** Peaks by size follow the execution: what is alive at once, and each kind at its own time. */
import { expect, it } from 'vitest';
import * as g from './index.ts';

it('tells the peaks of small and of large tensors apart', () => {
  const x = g.input('x', 'float32', ['N', 4]);
  // 64 bytes a token, and gone when the sum stands; the last two of 16 bytes a token stand together
  const wide = g.concat([x, x, x, x], 1);
  const narrow = g.neg(g.reduceSum(wide, [1]));
  const results = [g.exp(g.add(x, narrow))];
  const bindings = { N: 10 };
  const large = 640;
  expect(g.peaksOf(results, bindings, large)).toEqual({ all: 680, small: 320, large });
  expect(g.peaksOf(results, bindings, Infinity)).toEqual({ all: 680, small: 680, large: 0 });
  expect(g.peakBytes(results, bindings)).toBe(680);
});
