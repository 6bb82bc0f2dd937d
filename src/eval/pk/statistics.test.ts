import { describe, expect, test } from 'vitest';
import { hashKey, RandomStream } from '../../util/index.ts';
import { bootstrapMean } from '../intervals.ts';
import { combineOutcomes, compareOutcomes, type Outcome, withAdjustedPValue } from './comparison.ts';
import {
  bradleyTerry,
  detectableWinRate,
  exactBootstrap,
  holm,
  itemsNeeded,
  lengthControlled,
  selfAgreement,
  signTest,
  tieAdjustedWilson,
} from './statistics.ts';

/** Outcomes of a judge that decides each of two orders by itself, for the first system with probability `p`. */
function drawn(count: number, p: number, seed: number): Outcome[] {
  const random = new RandomStream(hashKey('outcomes', seed));
  return Array.from({ length: count }, () => {
    const [one, two] = [random.next() < p, random.next() < p];
    return one === two ? (one ? 'win' : 'loss') : 'tie';
  });
}

/** Outcomes without ties. */
const decided = (count: number, p: number, seed: number): Outcome[] => {
  const random = new RandomStream(hashKey('decided', seed));
  return Array.from({ length: count }, () => (random.next() < p ? 'win' : 'loss'));
};

describe('claims', () => {
  test.each([
    ['a judge with ties', drawn, 20],
    ['a judge with ties', drawn, 80],
    ['a judge with ties', drawn, 300],
    ['a judge without ties', decided, 20],
    ['a judge without ties', decided, 80],
    ['a judge without ties', decided, 300],
  ])(
    'a system against itself, %s: the interval covers one half in at least 93 of 100 trials of %#',
    (_, draw, count) => {
      const trials = Array.from({ length: 100 }, (_, trial) => compareOutcomes(draw(count, 0.5, trial)));
      const covered = trials.filter(({ ci }) => ci![0] <= 0.5 && 0.5 <= ci![1]).length;
      expect(covered).toBeGreaterThanOrEqual(93);
      // Where the interval covers one half, nothing is claimed.
      for (const { ci, better } of trials) if (ci![0] <= 0.5 && 0.5 <= ci![1]) expect(better).toBeNull();
      expect(trials.filter(({ better }) => better !== null).length).toBeLessThanOrEqual(7);
    },
  );

  test('a system that wins 60 % of the questions is found, as often as the stated power says', () => {
    const count = itemsNeeded(0.6, 0);
    expect(count).toBe(197);
    expect(detectableWinRate(count, 0)).toBeCloseTo(0.6, 2);
    const found = Array.from({ length: 100 }, (_, t) => compareOutcomes(decided(count, 0.6, t)).better);
    const better = found.filter((name) => name === 'a').length;
    // 80 of 100 within four standard deviations.
    expect(better).toBeGreaterThan(64);
    expect(better).toBeLessThan(96);
    expect(found).not.toContain('b');
    const larger = Array.from({ length: 50 }, (_, t) => compareOutcomes(decided(500, 0.4, t)).better);
    expect(larger.filter((name) => name === 'b').length).toBeGreaterThanOrEqual(48);
    // Ties carry information: 60 % with half of the games tied needs half of the questions.
    expect(itemsNeeded(0.6, 0.5)).toBe(99);
    const tied = Array.from({ length: 100 }, (_, t) => compareOutcomes(drawn(110, 0.6, t)).better);
    expect(tied.filter((name) => name === 'a').length).toBeGreaterThan(64);
  });

  test('nothing is findable where next to nothing is decided', () => {
    const allTied = compareOutcomes(Array<Outcome>(80).fill('tie'));
    expect(allTied).toMatchObject({ win_rate: 0.5, better: null, detectable_win_rate: null });
    // a system of 60 % wins one question of five at least, so that ties cannot make it cheaper
    expect(allTied.items_for_60_percent).toBe(40);
    for (const ties of [0, 30]) {
      const seen = (wins: number) =>
        compareOutcomes([...Array<Outcome>(wins).fill('win'), ...Array<Outcome>(ties).fill('tie')]);
      expect(seen(5)).toMatchObject({ better: null, detectable_win_rate: null });
      expect(seen(8)).toMatchObject({ better: 'a', detectable_win_rate: expect.any(Number) as number });
      expect(seen(8).detectable_win_rate).toBeLessThanOrEqual(seen(8).win_rate!);
    }
  });

  test('few questions prove little: five wins of five are no claim, one tie is no proof of equality', () => {
    expect(compareOutcomes(Array<Outcome>(5).fill('win'))).toMatchObject({
      win_rate: 1,
      p_value: 0.0625,
      better: null,
    });
    expect(compareOutcomes(Array<Outcome>(9).fill('win'))).toMatchObject({ better: 'a' });
    const [low, high] = compareOutcomes(['tie']).ci!;
    expect([low, high]).toEqual([expect.closeTo(0.076, 3), expect.closeTo(0.924, 3)]);
    expect(compareOutcomes([])).toMatchObject({ n: 0, win_rate: null, ci: null, better: null, p_value: 1 });
    const certain = compareOutcomes(Array<Outcome>(9).fill('win'));
    expect(withAdjustedPValue(certain, 0.06)).toMatchObject({ better: null, p_holm: 0.06 });
  });

  test('a question of two turns is won by more than half of its points', () => {
    expect(combineOutcomes(['win', 'tie'])).toBe('win');
    expect(combineOutcomes(['win', 'loss'])).toBe('tie');
    expect(combineOutcomes(['tie', 'loss'])).toBe('loss');
    expect(combineOutcomes(['tie'])).toBe('tie');
  });
});

describe('tests and intervals', () => {
  test('the sign test equals the binomial one', () => {
    // scipy.stats.binomtest(k, n).pvalue
    expect(signTest(8, 2)).toBeCloseTo(0.109375, 12);
    expect(signTest(2, 8)).toBeCloseTo(0.109375, 12);
    expect(signTest(60, 40)).toBeCloseTo(0.05688793364098078, 12);
    expect(signTest(700, 300) / 1.7665678007949568e-37).toBeCloseTo(1, 9);
    expect(signTest(5, 5)).toBe(1);
    expect(signTest(0, 0)).toBe(1);
  });

  test("without ties the interval is Wilson's, with ties it is narrower", () => {
    const [low, high] = tieAdjustedWilson(8, 0, 2);
    expect(low).toBeCloseTo(0.49016, 4);
    expect(high).toBeCloseTo(0.94331, 4);
    const tied = tieAdjustedWilson(30, 60, 10);
    const plain = tieAdjustedWilson(60, 0, 40);
    expect(tied[1] - tied[0]).toBeLessThan(0.7 * (plain[1] - plain[0]));
  });

  test('the exact bootstrap is what resampling comes to', () => {
    const points = [...Array<number>(50).fill(1), ...Array<number>(30).fill(0.5), ...Array<number>(40).fill(0)];
    const [low, high] = bootstrapMean(points, { seed: 5, resamples: 4000 });
    const [exactLow, exactHigh] = exactBootstrap(50, 30, 40);
    expect(Math.abs(low - exactLow)).toBeLessThan(0.006);
    expect(Math.abs(high - exactHigh)).toBeLessThan(0.006);
    expect(exactBootstrap(7, 0, 0)).toEqual([1, 1]);
    expect(exactBootstrap(0, 9, 0)).toEqual([0.5, 0.5]);
    const [below, above] = [exactBootstrap(1500, 500, 1000), exactBootstrap(1501, 500, 1000)];
    expect(above[0]).toBeCloseTo(below[0], 3);
    expect(above[1]).toBeCloseTo(below[1], 3);
  });

  test("Holm's p values grow with the number of comparisons and keep their order", () => {
    expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
    expect(holm([0.5])).toEqual([0.5]);
    expect(holm([0.9, 0.8])).toEqual([1, 1]);
  });

  test('agreement beyond chance: a consistent judge has it, a blind one has not, whoever wins', () => {
    const swap = (verdict: string): string => ({ first: 'second', second: 'first' })[verdict] ?? verdict;
    const ones = (pairs: readonly unknown[]): number[] => pairs.map(() => 1);
    const kappa = (pairs: [string, string][]): number | undefined => selfAgreement(pairs, ones(pairs), swap).kappa;
    // One system wins all, seen from both sides: a blind judge would agree with itself in half of the games.
    expect(
      selfAgreement(
        [
          ['first', 'second'],
          ['second', 'first'],
        ],
        [3, 2],
        swap,
      ),
    ).toEqual({ agreement: 1, kappa: 1 });
    expect(
      kappa([
        ['first', 'first'],
        ['first', 'first'],
      ]),
    ).toBe(0);
    expect(selfAgreement([['tie', 'tie']], [5], swap)).toEqual({ agreement: 1, kappa: undefined });
    expect(selfAgreement([], [], swap)).toEqual({ agreement: Number.NaN, kappa: undefined });
    const random = new RandomStream(hashKey('blind'));
    const draw = (): string => ['first', 'first', 'second', 'tie'][random.nextInt(4)]!;
    expect(Math.abs(kappa(Array.from({ length: 20_000 }, () => [draw(), draw()]))!)).toBeLessThan(0.02);
    // By hand: agreement 0.6; yes in 14 of 20 looks, no in 6, so that chance is 0.49 + 0.09.
    const yesNo = [
      ['y', 'y'],
      ['y', 'n'],
      ['n', 'y'],
      ['n', 'n'],
    ] as const;
    expect(selfAgreement(yesNo, [5, 3, 1, 1], (verdict) => verdict).kappa).toBeCloseTo((0.6 - 0.58) / 0.42, 12);
  });
});

describe('models', () => {
  test('Bradley-Terry finds the strengths that drew the games, and stays finite where one won all', () => {
    const truth = [1, 0.2, -1.2];
    const scores = [
      [0, 1],
      [0, 2],
      [1, 2],
    ].map(([first, second]) => {
      const p = 1 / (1 + Math.exp(truth[second!]! - truth[first!]!));
      return { first: first!, second: second!, points: p * 1e5, count: 1e5 };
    });
    for (const [i, strength] of bradleyTerry(3, scores).entries()) expect(strength).toBeCloseTo(truth[i]!, 3);
    const [winner, loser] = bradleyTerry(2, [{ first: 0, second: 1, points: 10, count: 10 }]);
    // 10.5 points against half a point: the log-odds are split around 0.
    expect(winner).toBeCloseTo(Math.log(21) / 2, 6);
    expect(loser).toBeCloseTo(-Math.log(21) / 2, 6);
  });

  test('a length-controlled win rate takes the effect of length out', () => {
    const random = new RandomStream(hashKey('length'));
    // The own answers are longer, and only length decides.
    const items = Array.from({ length: 4000 }, () => {
      const lengthDifference = 100 + 100 * random.nextNormal();
      const p = 1 / (1 + Math.exp(-2 * Math.tanh(lengthDifference / Math.SQRT2 / 100)));
      return { lengthDifference, score: random.next() < p ? 1 : 0 };
    });
    const raw = items.reduce((sum, { score }) => sum + score, 0) / items.length;
    const { winRate, lengthEffect } = lengthControlled(items);
    expect(raw).toBeGreaterThan(0.65);
    expect(winRate).toBeGreaterThan(0.45);
    expect(winRate).toBeLessThan(0.55);
    expect(lengthEffect).toBeGreaterThan(1.5);
    // The same where a few answers are a hundred times as long: they must not decide the scale.
    const skewed = Array.from({ length: 3000 }, (_, i) => {
      const lengthDifference = i % 30 === 0 ? 5000 : -30 + 40 * random.nextNormal();
      const p = 1 / (1 + Math.exp(-3 * Math.tanh(lengthDifference / 30)));
      return { lengthDifference, score: random.next() < p ? 1 : 0 };
    });
    expect(skewed.reduce((sum, { score }) => sum + score, 0) / skewed.length).toBeLessThan(0.4);
    expect(lengthControlled(skewed).winRate).toBeGreaterThan(0.45);
    expect(lengthControlled(skewed).winRate).toBeLessThan(0.55);
    const equal = lengthControlled([
      { score: 1, lengthDifference: 0 },
      { score: 0, lengthDifference: 0 },
    ]);
    expect(equal).toEqual({ winRate: 0.5, lengthEffect: 0 });
  });
});
