/**
 * What can be said of the judge itself: does it agree with itself when the order changes, does it favour a place, does it
 * favour length. An order-biased or a random judge shows here, whatever the win rates look like.
 */
import { bootstrapInterval, bootstrapMean, type Interval, wilsonInterval } from '../intervals.ts';
import { pointsOf } from './comparison.ts';
import type { Decision } from './judged.ts';
import type { PointCheck } from './review-points.ts';
import { lengthControlled, type SelfAgreement, selfAgreement, signTest } from './statistics.ts';
import type { Game } from './whole-answers.ts';

/** Whether a judge says the same in both orders, and whether it favours a place. */
export interface OrderAudit {
  /** Games or items that were judged readably in both orders. */
  readonly n: number;
  /** Share on which both orders say the same. */
  readonly agreement: number;
  readonly agreement_ci: Interval;
  /** Agreement beyond that of a judge that does not look at the answers; null where such a one would always agree. */
  readonly kappa: number | null;
  readonly kappa_ci: Interval | null;
  /** Pairs: every verdict is a tie. Reviews: every item is confirmed, or none. */
  readonly says_one_thing: boolean;
  /**
   * Pairs: share of the verdicts for the answer shown first, of those for either. Reviews: mean place of the matching human
   * item, 0 the first and 1 the last. One half where no place is favoured.
   */
  readonly first_place: number | null;
  readonly first_place_ci: Interval | null;
  /** Reviews: share of the confirmed items for which both looks name the same human item. */
  readonly same_match?: number | null;
}

/** Whether the longer answer wins. */
export interface LengthAudit {
  /** Decided questions whose answers differ in length. */
  readonly n: number;
  /** Share that the longer answer won. */
  readonly longer_wins: number | null;
  readonly longer_wins_ci: Interval | null;
  readonly p_value: number;
  /** Win rate of `a` with the effect of length taken out (AlpacaEval 2, without the difficulty of questions). */
  readonly controlled_win_rate: number | null;
  /** Mean characters of the answers of `a` and of `b`. */
  readonly mean_lengths: readonly [number, number];
}

/** Resamples of the audit: fewer for very many judgments, whose intervals are narrow anyway. */
const resamplesFor = (count: number): number => Math.max(200, Math.min(1000, Math.floor(1e7 / count)));

function agreementAudit(
  pairs: readonly (readonly [string, string])[],
  mirrored: (verdict: string) => string,
  seed: number,
): Pick<OrderAudit, 'n' | 'agreement' | 'agreement_ci' | 'kappa' | 'kappa_ci'> {
  const kinds = new Map<string, { readonly kind: number; readonly pair: readonly [string, string] }>();
  const kindOf = pairs.map((pair) => {
    const name = pair.join();
    const known = kinds.get(name) ?? { kind: kinds.size, pair };
    kinds.set(name, known);
    return known.kind;
  });
  const found = [...kinds.values()].map(({ pair }) => pair);
  const audit = (indices: Iterable<number>): SelfAgreement => {
    const counts = new Float64Array(found.length);
    for (const index of indices) counts[kindOf[index]!]!++;
    return selfAgreement(found, counts, mirrored);
  };
  const { kappa, agreement } = audit(pairs.keys());
  const kappaOf = (indices: Uint32Array): number => audit(indices).kappa ?? Number.NaN;
  return {
    n: pairs.length,
    agreement,
    agreement_ci: wilsonInterval(agreement, pairs.length),
    kappa: kappa ?? null,
    kappa_ci:
      kappa === undefined
        ? null
        : bootstrapInterval(pairs.length, kappaOf, { seed, resamples: resamplesFor(pairs.length) }),
  };
}

const otherPlace = (verdict: string): string =>
  verdict === 'first' ? 'second' : verdict === 'second' ? 'first' : verdict;

/** Audits a judge of pairs; null where no game was readable. */
export function auditPairs(games: readonly Game[], seed: number): OrderAudit | null {
  const readable = games.filter(({ outcome }) => outcome !== 'unreadable');
  if (readable.length === 0) return null;
  const pairs = readable.map(({ judgments: [one, two] }) => [one.verdict, two.verdict] as const);
  const verdicts = pairs.flat();
  const first = verdicts.filter((verdict) => verdict === 'first').length;
  const decided = first + verdicts.filter((verdict) => verdict === 'second').length;
  return {
    ...agreementAudit(pairs, otherPlace, seed),
    says_one_thing: decided === 0,
    first_place: decided === 0 ? null : first / decided,
    first_place_ci: decided === 0 ? null : wilsonInterval(first / decided, decided),
  };
}

/** Audits a judge of review items; null where no item was readable. */
export function auditPoints(
  checks: readonly PointCheck[],
  human: ReadonlyMap<string, readonly string[]>,
  seed: number,
): OrderAudit | null {
  const readable = checks.filter(({ judgments }) => judgments.every(({ match }) => match !== undefined));
  if (readable.length === 0) return null;
  const word = (match: number | null | undefined): string => (match === null ? 'none' : 'found');
  const pairs = readable.map(({ judgments: [one, two] }) => [word(one.match), word(two.match)] as const);
  // A list of one item has no places.
  const places = readable.flatMap(({ question, judgments }) => {
    const count = human.get(question)!.length;
    return judgments.flatMap(({ place }) => (count > 1 && place! > 0 ? [(place! - 1) / (count - 1)] : []));
  });
  const confirmed = readable.filter((check) => check.confirmed);
  const same = confirmed.filter(({ judgments: [one, two] }) => one.match === two.match).length;
  const mean = places.reduce((sum, place) => sum + place, 0) / places.length;
  return {
    ...agreementAudit(pairs, (verdict) => verdict, seed),
    says_one_thing: new Set(pairs.flat()).size === 1,
    first_place: places.length === 0 ? null : mean,
    first_place_ci:
      places.length === 0 ? null : bootstrapMean(places, { seed, resamples: resamplesFor(places.length) }),
    same_match: confirmed.length === 0 ? null : same / confirmed.length,
  };
}

/** Audits the effect of length on the decisions of one pair of systems. */
export function auditLength(decisions: readonly Decision[]): LengthAudit {
  const readable = decisions.flatMap((decision) =>
    decision.outcome === 'unreadable' ? [] : [{ ...decision, outcome: decision.outcome }],
  );
  const decided = readable.filter(({ outcome, lengths: [a, b] }) => outcome !== 'tie' && a !== b);
  const longer = decided.filter(({ outcome, lengths: [a, b] }) => (outcome === 'win') === a > b).length;
  const mean = (which: 0 | 1): number =>
    readable.length === 0 ? 0 : readable.reduce((sum, { lengths }) => sum + lengths[which], 0) / readable.length;
  return {
    n: decided.length,
    longer_wins: decided.length === 0 ? null : longer / decided.length,
    longer_wins_ci: decided.length === 0 ? null : wilsonInterval(longer / decided.length, decided.length),
    p_value: signTest(longer, decided.length - longer),
    controlled_win_rate:
      readable.length === 0
        ? null
        : lengthControlled(
            readable.map(({ outcome, lengths: [a, b] }) => ({ score: pointsOf[outcome], lengthDifference: a - b })),
          ).winRate,
    mean_lengths: [mean(0), mean(1)],
  };
}
