import { describe, expect, it } from 'vitest';
import { RandomStream } from '../util/index.ts';
import { planBatches } from './batches.ts';
import { mixRows } from './mixing.ts';
import { packBestFit, packInOrder, type Packs } from './packing.ts';
import { chooseSamples, chooseValidation, validationCount } from './split.ts';

function randomLengths(count: number, longest: number, key: number): Uint32Array {
  const random = new RandomStream(key);
  return Uint32Array.from({ length: count }, () => 1 + random.nextInt(longest));
}
const sorted = (values: Iterable<number>): number[] => [...values].sort((a, b) => a - b);
const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe('batches', () => {
  const settings = { batchSize: 4, groupByLength: true, disableShuffling: false, seed: 42 };
  const lengths = randomLengths(403, 500, 1);
  it('use every sample once in each epoch, the short batch included', () => {
    for (const groupByLength of [true, false]) {
      for (const epoch of [0, 1]) {
        const batches = planBatches(lengths, { ...settings, groupByLength }, epoch);
        expect(batches).toHaveLength(101);
        expect(sorted(batches.flatMap((batch) => [...batch]))).toEqual(range(403));
        expect(sorted(batches.map((batch) => batch.length)).slice(0, 2)).toEqual([3, 4]);
      }
    }
  });
  it('are a pure function of seed and epoch', () => {
    expect(planBatches(lengths, settings, 3)).toEqual(planBatches(lengths, settings, 3));
    expect(planBatches(lengths, settings, 3)).not.toEqual(planBatches(lengths, settings, 4));
    expect(planBatches(lengths, settings, 3)).not.toEqual(planBatches(lengths, { ...settings, seed: 43 }, 3));
  });
  it('hold samples of similar length, the longest sample first', () => {
    const spread = (batches: Uint32Array[]): number => {
      let sum = 0;
      for (const batch of batches) {
        const own = [...batch].map((index) => lengths[index]!);
        sum += Math.max(...own) - Math.min(...own);
      }
      return sum;
    };
    const grouped = planBatches(lengths, settings, 0);
    expect(spread(grouped)).toBeLessThan(spread(planBatches(lengths, { ...settings, groupByLength: false }, 0)) / 4);
    expect(lengths[grouped[0]![0]!]).toBe(Math.max(...lengths));
  });
  it('keep the file order with disable_shuffling', () => {
    const batches = planBatches(lengths.subarray(0, 10), { ...settings, disableShuffling: true }, 5);
    expect(batches.map((batch) => [...batch])).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ]);
  });
  it('of no samples are none', () => expect(planBatches([], settings, 0)).toEqual([]));
});

describe('packing', () => {
  const members = ({ members, starts }: Packs): number[][] =>
    range(starts.length - 1).map((pack) => [...members.subarray(starts[pack], starts[pack + 1])]);
  it('in order fills one sample after the other', () => {
    expect(members(packInOrder([3, 4, 4, 8, 1], 8))).toEqual([[0, 1], [2], [3], [4]]);
  });
  it('best fit wastes little, uses every sequence once and never overfills', () => {
    expect(members(packBestFit([3, 4, 4, 8, 1], 8))).toEqual([[0, 4], [1, 2], [3]]);
    for (const key of [1, 2, 3]) {
      const lengths = randomLengths(2000, 100 * key, key);
      const packs = members(packBestFit(lengths, 400));
      expect(sorted(packs.flat())).toEqual(range(2000));
      const totals = packs.map((pack) => pack.reduce((sum, index) => sum + lengths[index]!, 0));
      expect(Math.max(...totals)).toBeLessThanOrEqual(400);
      const least = Math.ceil(lengths.reduce((sum, length) => sum + length, 0) / 400);
      expect(packs.length).toBeLessThanOrEqual(Math.ceil(least * 1.05));
    }
  });
  it('agrees with a plain search for the fullest sample that still takes a sequence', () => {
    const lengths = randomLengths(300, 90, 9);
    const order = range(300).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
    const rooms: number[] = [];
    for (const index of order) {
      const fits = rooms.filter((room) => room >= lengths[index]!);
      if (fits.length === 0) rooms.push(100 - lengths[index]!);
      else rooms[rooms.indexOf(Math.min(...fits))]! -= lengths[index]!;
    }
    const { starts, members: all } = packBestFit(lengths, 100);
    const left = range(starts.length - 1).map(
      (pack) => 100 - all.subarray(starts[pack], starts[pack + 1]).reduce((sum, index) => sum + lengths[index]!, 0),
    );
    expect(sorted(left)).toEqual(sorted(rooms));
  });
});

describe('mixing', () => {
  const mix = (...args: Parameters<typeof mixRows>): string =>
    [...mixRows(...args)].map(({ dataset, index }) => 'abc'[dataset]! + index).join(' ');
  it('without probabilities takes turns', () => {
    expect(mix([2, 1], 'concat', undefined, 1)).toBe('a0 a1 b0');
    expect(mix([3, 2], 'interleave_under', undefined, 1)).toBe('a0 b0 a1 b1');
    // As `interleave_datasets` of datasets 5.2 gives them: whole rounds.
    expect(mix([2, 3], 'interleave_under', undefined, 1)).toBe('a0 b0 a1 b1');
    expect(mix([2, 4, 3], 'interleave_under', undefined, 1)).toBe('a0 b0 c0 a1 b1 c1');
    expect(mix([3, 2], 'interleave_over', undefined, 1)).toBe('a0 b0 a1 b1 a2 b0');
    expect(mix([2, 4, 3], 'interleave_over', undefined, 1)).toBe('a0 b0 c0 a1 b1 c1 a0 b2 c2 a1 b3 c0');
    expect(mix([1, 3], 'interleave_over', undefined, 1)).toBe('a0 b0 a0 b1 a0 b2');
    expect(mix([3, 1, 2], 'interleave_once', undefined, 1)).toBe('a0 b0 c0 a1 c1 a2');
  });
  it('with probabilities draws by them, the same for a seed', () => {
    const drawn = [...mixRows([10_000, 10_000], 'interleave_under', [0.8, 0.2], 7)];
    const share = drawn.filter(({ dataset }) => dataset === 0).length / drawn.length;
    expect(share).toBeCloseTo(0.8, 1);
    expect([...mixRows([10_000, 10_000], 'interleave_under', [0.8, 0.2], 7)]).toEqual(drawn);
    expect([...mixRows([10_000, 10_000], 'interleave_under', [0.8, 0.2], 8)]).not.toEqual(drawn);
  });
  it('once uses every row once, over uses every row at least once', () => {
    for (const strategy of ['interleave_once', 'interleave_over'] as const) {
      const rows = [...mixRows([50, 20, 5], strategy, [0.3, 0.3, 0.4], 3)].map(
        ({ dataset, index }) => dataset * 100 + index,
      );
      expect(new Set(rows).size).toBe(75);
      if (strategy === 'interleave_once') expect(rows).toHaveLength(75);
    }
  });
  it('ends where a set is empty or never drawn', () => {
    expect(mix([2, 0], 'interleave_over', undefined, 1)).toBe('a0 a1');
    expect(mix([2, 5], 'interleave_over', [1, 0], 1)).toBe('a0 a1');
  });
});

describe('rows set aside and sampled', () => {
  it('counts a share up to 1 and a number above', () => {
    expect([validationCount(101, 0.1), validationCount(101, 20), validationCount(101, 0)]).toEqual([11, 20, 0]);
  });
  it('chooses so many, by the seed', () => {
    const chosen = chooseValidation(1000, 100, 1);
    expect(chosen.reduce((sum, value) => sum + value, 0)).toBe(100);
    expect(chooseValidation(1000, 100, 1)).toEqual(chosen);
    expect(chooseValidation(1000, 100, 2)).not.toEqual(chosen);
  });
  it('draws each row once before any a second time', () => {
    expect(sorted(chooseSamples(5, 3, 'a', 1))).toEqual([0, 0, 1, 1, 1]);
    expect(sorted(chooseSamples(3, 7, 'a', 1))).toEqual([2, 2, 3]);
    expect(chooseSamples(100, 10, 'a', 1)).not.toEqual(chooseSamples(100, 10, 'b', 1));
  });
});
