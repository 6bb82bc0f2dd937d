import { expect, test } from 'vitest';
import { hashKey, RandomStream } from '../util/index.ts';
import { bootstrapInterval, bootstrapMean, bootstrapShare, quantile, wilsonInterval } from './intervals.ts';

test("Wilson's interval equals published values", () => {
  // Newcombe 1998, table I, method 3 (without continuity correction).
  const published: [number, number, number, number][] = [
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ];
  for (const [hits, count, low, high] of published) {
    const interval = wilsonInterval(hits / count, count);
    expect(interval[0]).toBeCloseTo(low, 4);
    expect(interval[1]).toBeCloseTo(high, 4);
  }
  expect(wilsonInterval(0.5, 0)).toEqual([0, 1]);
});

test('quantiles lie between neighbours', () => {
  expect(quantile([1, 2, 3, 4, 5], 0.5)).toBe(3);
  expect(quantile([0, 10], 0.25)).toBe(2.5);
  expect(quantile([7], 0.9)).toBe(7);
  expect(quantile([], 0.5)).toBeNaN();
});

test('the bootstrap of a mean is seeded and covers the true mean as often as it says', () => {
  let covered = 0;
  for (let trial = 0; trial < 200; trial++) {
    const random = new RandomStream(hashKey('trial', trial));
    const values = Array.from({ length: 60 }, () => 3 + random.nextNormal());
    const [low, high] = bootstrapMean(values, { seed: trial, resamples: 400 });
    if (low <= 3 && 3 <= high) covered++;
  }
  // 95 % of 200 trials, 4 standard deviations around it.
  expect(covered).toBeGreaterThan(177);
  expect(covered).toBeLessThan(200);
  const values = [1, 2, 3, 4];
  expect(bootstrapMean(values, { seed: 1 })).toEqual(bootstrapMean(values, { seed: 1 }));
  expect(bootstrapMean(values, { seed: 1 })).not.toEqual(bootstrapMean([1, 2, 3, 5], { seed: 1 }));
});

test('no items give no interval; a statistic that is not finite on a resample leaves it out', () => {
  expect(bootstrapMean([], { seed: 1 })).toEqual([Number.NaN, Number.NaN]);
  const ratio = bootstrapInterval(2, (indices) => (indices[0] === 0 ? Number.NaN : 5), { seed: 1 });
  expect(ratio).toEqual([5, 5]);
});

test('does not take a share of none or all for certain', () => {
  expect(bootstrapShare([0, 0], { seed: 1 })).toEqual(wilsonInterval(0, 2));
  expect(bootstrapShare([1, 1, 1], { seed: 1 })).toEqual(wilsonInterval(1, 3));
  expect(bootstrapShare([1, 0, 1], { seed: 1 })).toEqual(bootstrapMean([1, 0, 1], { seed: 1 }));
});
