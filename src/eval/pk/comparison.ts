/**
 * The verdict on two systems from the outcomes of their questions. A system is called better only where the interval of
 * its win rate leaves one half out and the sign test agrees.
 */
import type { Interval } from '../intervals.ts';
import { detectableWinRate, exactBootstrap, itemsNeeded, signTest, tieAdjustedWilson } from './statistics.ts';

/** How a question ended for the first system. */
export type Outcome = 'win' | 'tie' | 'loss';

/** Points of an outcome. */
export const pointsOf: Readonly<Record<Outcome, number>> = { win: 1, tie: 0.5, loss: 0 };

/** What is known of the first system against the second. */
export interface Comparison {
  readonly n: number;
  readonly wins: number;
  readonly ties: number;
  readonly losses: number;
  /** Wins and half of the ties, over all. */
  readonly win_rate: number | null;
  /** 95 %: from the lower end of the lower to the upper end of the upper of the two intervals below. */
  readonly ci: Interval | null;
  readonly bootstrap: Interval | null;
  readonly wilson: Interval | null;
  /** Exact two-sided sign test of wins against losses. */
  readonly p_value: number;
  /** The system that is better, or null where that cannot be said. */
  readonly better: 'a' | 'b' | null;
  /** True win rate that eight of ten such comparisons would find; null where fewer than eight questions are decided, which find none. */
  readonly detectable_win_rate: number | null;
  /** Questions that would find a system of a true win rate of 60 % in eight of ten comparisons. */
  readonly items_for_60_percent: number;
}

/** Largest p value of a claim. */
export const significance = 0.05;

/** The verdict; `pValue` replaces that of the sign test where several comparisons are made at once. */
function betterOf(ci: Interval | null, pValue: number): Comparison['better'] {
  if (ci === null || pValue >= significance) return null;
  if (ci[0] > 0.5) return 'a';
  return ci[1] < 0.5 ? 'b' : null;
}

/** Compares two systems over independent questions. */
export function compareOutcomes(outcomes: readonly Outcome[]): Comparison {
  const count = (wanted: Outcome): number => outcomes.filter((outcome) => outcome === wanted).length;
  const [wins, ties, losses] = [count('win'), count('tie'), count('loss')];
  const n = outcomes.length;
  const pValue = signTest(wins, losses);
  if (n === 0) {
    return {
      n,
      wins,
      ties,
      losses,
      win_rate: null,
      ci: null,
      bootstrap: null,
      wilson: null,
      p_value: pValue,
      better: null,
      detectable_win_rate: null,
      items_for_60_percent: itemsNeeded(0.6, 0),
    };
  }
  const bootstrap = exactBootstrap(wins, ties, losses);
  const wilson = tieAdjustedWilson(wins, ties, losses);
  const ci = [Math.min(bootstrap[0], wilson[0]), Math.max(bootstrap[1], wilson[1])] as const;
  return {
    n,
    wins,
    ties,
    losses,
    win_rate: (wins + ties / 2) / n,
    ci,
    bootstrap,
    wilson,
    p_value: pValue,
    better: betterOf(ci, pValue),
    detectable_win_rate: detectableWinRate(n, ties / n),
    items_for_60_percent: itemsNeeded(0.6, ties / n),
  };
}

/** The same comparison with the p value that counts where it is one of several. */
export function withAdjustedPValue(comparison: Comparison, adjusted: number): Comparison & { readonly p_holm: number } {
  return { ...comparison, better: betterOf(comparison.ci, adjusted), p_holm: adjusted };
}

/** The outcome of a question that was asked several times (turns): more than half of the points win it. */
export function combineOutcomes(outcomes: readonly Outcome[]): Outcome {
  const points = outcomes.reduce((sum, outcome) => sum + pointsOf[outcome], 0);
  if (points * 2 === outcomes.length) return 'tie';
  return points * 2 > outcomes.length ? 'win' : 'loss';
}
