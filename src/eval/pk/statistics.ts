/** What is said of wins, ties and losses: tests, intervals, agreement, and strengths of more than two systems. */
import { type Interval, quantile, wilsonInterval, z95 } from '../intervals.ts';

/** Logarithm of n!, exact sums: counts of games are small. */
function logFactorials(count: number): Float64Array {
  const logs = new Float64Array(count + 1);
  for (let i = 1; i <= count; i++) logs[i] = logs[i - 1]! + Math.log(i);
  return logs;
}

/**
 * The exact two-sided sign test: how probable a split at least as uneven is where wins and losses are equally likely. Ties
 * say nothing and are left out. 1 where there are neither wins nor losses.
 */
export function signTest(wins: number, losses: number): number {
  const count = wins + losses;
  const logs = logFactorials(count);
  const base = logs[count]! - count * Math.LN2;
  let tail = 0;
  for (let k = 0; k <= Math.min(wins, losses); k++) tail += Math.exp(base - logs[k]! - logs[count - k]!);
  return Math.min(1, 2 * tail);
}

/**
 * Wilson's interval of a win rate in which ties count half. A tie lowers the variance of an item from p (1 - p) by 1/4 of
 * its probability, so that n items with a share t of ties tell as much as n / (1 - t) without. The share is taken a
 * little low (as if two more items were decided), lest a few items that are all ties seem to prove equality.
 */
export function tieAdjustedWilson(wins: number, ties: number, losses: number): Interval {
  const count = wins + ties + losses;
  if (count === 0) return [0, 1];
  return wilsonInterval((wins + ties / 2) / count, count / (1 - ties / (count + 2)));
}

/** Above so many items the normal distribution has the same ends to four digits. */
const mostConvolved = 3000;
/** Below this a probability changes no interval. */
const negligible = 1e-18;

/**
 * The percentile bootstrap of a win rate in which ties count half, of infinitely many resamples: the exact distribution of
 * the sum of as many draws, by convolution (of the normal distribution for thousands of items), so that it needs no seed.
 */
export function exactBootstrap(wins: number, ties: number, losses: number): Interval {
  const count = wins + ties + losses;
  if (count === 0) return [0, 1];
  const [lost, tied, won] = [losses / count, ties / count, wins / count];
  if (count > mostConvolved) {
    const mean = won + tied / 2;
    const half = z95 * Math.sqrt((won + tied / 4 - mean * mean) / count);
    return [mean - half, mean + half];
  }
  // Half points from `low` on; what has become negligible at both ends is left out.
  let [low, chances] = [0, Float64Array.of(1)];
  for (let draw = 0; draw < count; draw++) {
    const next = new Float64Array(chances.length + 2);
    for (let i = 0; i < chances.length; i++) {
      const chance = chances[i]!;
      next[i]! += chance * lost;
      next[i + 1]! += chance * tied;
      next[i + 2]! += chance * won;
    }
    let [from, to] = [0, next.length];
    while (from < to - 1 && next[from]! < negligible) from++;
    while (to > from + 1 && next[to - 1]! < negligible) to--;
    low += from;
    chances = next.subarray(from, to);
  }
  const quantileAt = (q: number): number => {
    let sum = 0;
    for (const [i, chance] of chances.entries()) {
      sum += chance;
      if (sum >= q) return (low + i) / (2 * count);
    }
    return (low + chances.length - 1) / (2 * count);
  };
  return [quantileAt(0.025), quantileAt(0.975)];
}

/** Most questions that a forecast names; beyond this it is no help. */
const mostForecast = 1e6;
/** The 80 % point of the normal distribution: the usual power. */
const z80 = 0.8416212335729143;

/**
 * The true win rate above which eight of ten comparisons of `count` items with this share of ties find a difference; null where so few are decided
 * (fewer than eight) that not even a system that wins all of them is found.
 */
export function detectableWinRate(count: number, tieShare: number): number | null {
  const decided = 1 - tieShare;
  const advantage = ((z95 + z80) * Math.sqrt(decided)) / (2 * Math.sqrt(count));
  return decided > 0 && advantage <= decided / 2 ? 0.5 + advantage : null;
}

/** How many items find a true win rate in eight of ten comparisons. That rate needs a share of decided items, whatever share was seen. */
export function itemsNeeded(winRate: number, tieShare: number): number {
  const advantage = winRate - 0.5;
  const decided = Math.max(2 * advantage, 1 - tieShare);
  const items = ((z95 + z80) ** 2 * decided) / (4 * advantage ** 2);
  return Math.min(mostForecast, Math.ceil(items));
}

/** How far two looks of one judge at the same items agree. */
export interface SelfAgreement {
  /** Share of items on which both looks say the same. */
  readonly agreement: number;
  /**
   * The same beyond chance: 1 always, 0 as often as a judge that gives its verdicts without looking at the items, in the
   * shares in which they came. Undefined where such a judge would always agree.
   */
  readonly kappa: number | undefined;
}

/**
 * Agreement beyond chance, as Scott (1955) has it: both looks share one distribution of verdicts.
 * @param kinds the pairs of verdicts that occur
 * @param counts how often each of them does
 * @param mirrored what a verdict of the second look would have been called in the first
 */
export function selfAgreement(
  kinds: readonly (readonly [string, string])[],
  counts: ArrayLike<number>,
  mirrored: (verdict: string) => string,
): SelfAgreement {
  const shares = new Map<string, number>();
  let [total, equal] = [0, 0];
  for (const [kind, [one, two]] of kinds.entries()) {
    const count = counts[kind]!;
    total += count;
    if (one === mirrored(two)) equal += count;
    for (const verdict of [one, two]) shares.set(verdict, (shares.get(verdict) ?? 0) + count / 2);
  }
  let chance = 0;
  for (const [verdict, share] of shares) chance += (share / total) * ((shares.get(mirrored(verdict)) ?? 0) / total);
  const agreement = equal / total;
  return { agreement, kappa: total === 0 || chance > 1 - 1e-9 ? undefined : (agreement - chance) / (1 - chance) };
}

/** Holm's adjustment (1979) of several p values, in their order. */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[a]! - pValues[b]!);
  const adjusted = Array.from(pValues);
  let highest = 0;
  for (const [rank, i] of order.entries()) {
    highest = Math.max(highest, Math.min(1, pValues[i]! * (pValues.length - rank)));
    adjusted[i] = highest;
  }
  return adjusted;
}

/** What one system scored against another: wins and half of the ties, over all their items. */
export interface PairScore {
  readonly first: number;
  readonly second: number;
  readonly points: number;
  readonly count: number;
}

const bradleyTerryRounds = 10_000;
const bradleyTerryTolerance = 1e-10;
/** A game drawn between every two systems keeps the strength of one that won or lost everything finite. */
const priorDraws = 1;

/**
 * Strengths of systems from their games (Bradley and Terry 1952), by Hunter's MM iteration (2004): the probability that i
 * beats j is 1 / (1 + exp(s_j - s_i)). A tie counts half for each; one drawn game is added for every two systems.
 * @returns strengths as natural log-odds whose mean is 0
 */
export function bradleyTerry(systems: number, scores: readonly PairScore[]): Float64Array {
  const points = new Float64Array(systems);
  const games = new Float64Array(systems * systems);
  const add = (i: number, j: number, score: number, count: number): void => {
    points[i]! += score;
    points[j]! += count - score;
    games[i * systems + j]! += count;
    games[j * systems + i]! += count;
  };
  for (const { first, second, points: score, count } of scores) add(first, second, score, count);
  for (let i = 0; i < systems; i++) for (let j = 0; j < i; j++) add(i, j, priorDraws / 2, priorDraws);
  let worth = new Float64Array(systems).fill(1);
  for (let round = 0; round < bradleyTerryRounds; round++) {
    const next = new Float64Array(systems);
    for (let i = 0; i < systems; i++) {
      let expected = 0;
      for (let j = 0; j < systems; j++) {
        if (j !== i) expected += games[i * systems + j]! / (worth[i]! + worth[j]!);
      }
      next[i] = points[i]! / expected;
    }
    let mean = 0;
    for (const value of next) mean += Math.log(value) / systems;
    let change = 0;
    for (let i = 0; i < systems; i++) {
      next[i] = next[i]! / Math.exp(mean);
      change = Math.max(change, Math.abs(Math.log(next[i]! / worth[i]!)));
    }
    worth = next;
    if (change < bradleyTerryTolerance) break;
  }
  return worth.map((value) => Math.log(value));
}

/** One item of a length-controlled win rate. */
export interface LengthItem {
  /** 1: won, 0: lost, 1/2: tied. */
  readonly score: number;
  /** Length of the own answer less that of the other, in any unit. */
  readonly lengthDifference: number;
}

/** A ridge on both coefficients, so that separable items have a finite answer: as strong as a hundredth of an item. */
const logisticRidge = 0.01;
const newtonRounds = 100;

/**
 * The win rate with the effect of length taken out, after AlpacaEval 2 (Dubois et al. 2024): a logistic model of the score
 * on tanh(difference / scale), read at difference 0. Without AlpacaEval's term for the difficulty of a question, which needs
 * many systems; and the scale is the median difference, not the standard deviation, which a few very long answers decide.
 * @returns the controlled win rate and the coefficient of length (above 0: longer answers win)
 */
export function lengthControlled(items: readonly LengthItem[]): { winRate: number; lengthEffect: number } {
  const sizes = Float64Array.from(items, ({ lengthDifference: d }) => Math.abs(d)).filter((size) => size > 0);
  const scale = sizes.length === 0 ? 1 : quantile(sizes.sort(), 0.5);
  const inputs = items.map(({ lengthDifference: d }) => Math.tanh(d / scale));
  let [constant, slope] = [0, 0];
  for (let round = 0; round < newtonRounds; round++) {
    let [g0, g1] = [-logisticRidge * constant, -logisticRidge * slope];
    let [h00, h01, h11] = [logisticRidge, 0, logisticRidge];
    for (const [i, { score }] of items.entries()) {
      const x = inputs[i]!;
      const p = 1 / (1 + Math.exp(-(constant + slope * x)));
      const weight = p * (1 - p);
      g0 += score - p;
      g1 += (score - p) * x;
      h00 += weight;
      h01 += weight * x;
      h11 += weight * x * x;
    }
    const determinant = h00 * h11 - h01 * h01;
    const [step0, step1] = [(h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant];
    constant += step0;
    slope += step1;
    if (Math.abs(step0) + Math.abs(step1) < 1e-10) break;
  }
  return { winRate: 1 / (1 + Math.exp(-constant)), lengthEffect: slope };
}
