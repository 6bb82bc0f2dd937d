/** From decisions to what `pk_results.json` holds: comparisons, groups, strengths, the audit, and what must be known of them. */
import { bootstrapInterval, type Interval } from '../intervals.ts';
import type { Spending } from '../../endpoint/index.ts';
import { type FindingFields, findingText } from '../../messages/pk.ts';
import { auditLength, type LengthAudit, type OrderAudit } from './audit.ts';
import {
  combineOutcomes,
  compareOutcomes,
  type Comparison,
  type Outcome,
  pointsOf,
  withAdjustedPValue,
} from './comparison.ts';
import { type Decision, type Pair, pairsOf } from './judged.ts';
import { bradleyTerry, holm } from './statistics.ts';

/** Wins, ties and losses of a part of the questions. */
export interface GroupCounts {
  readonly name: string;
  readonly wins: number;
  readonly ties: number;
  readonly losses: number;
}

/** The comparison of two systems. */
export interface PairResult extends Pair, Comparison {
  /** The p value with the number of comparisons taken into account (Holm); with two systems the same. */
  readonly p_holm: number;
  /** Questions of which no judgment could be read. */
  readonly unreadable: number;
  readonly length: LengthAudit;
  /** By category, turn or aspect. */
  readonly groups: readonly GroupCounts[];
}

/** The strength of a system among several, by Bradley and Terry. */
export interface Strength {
  readonly system: string;
  /** Natural log-odds; the mean of all systems is 0. */
  readonly strength: number;
  readonly ci: Interval;
}

/** A number of one system, with its interval. */
export interface SystemMean {
  readonly system: string;
  readonly mean: number | null;
  readonly ci: Interval | null;
  readonly n: number;
}

/** What one system or the judge did and cost. */
export interface ParticipantReport extends Spending {
  readonly name: string;
  readonly kind: string;
  readonly title: string;
}

/** Something that must be known before the result is believed. */
export interface Finding {
  readonly code: FindingFields['code'];
  readonly text: string;
}

/** All of `pk_results.json`. The fields of a comparison at the top are those of the first two systems. */
export interface PkResults extends PairResult {
  readonly form: 'pair' | 'score' | 'aspects';
  readonly questions: number;
  /** Share of judgments that are the same in both orders; null where there are no two orders. */
  readonly order_agreement: number | null;
  readonly order: OrderAudit | null;
  readonly pairs: readonly PairResult[];
  /** With three systems or more. */
  readonly strengths: readonly Strength[];
  /** Score form: mean rating. Aspects: share of the items that human reviews confirm. */
  readonly means: readonly SystemMean[];
  readonly findings: readonly Finding[];
  readonly systems: readonly ParticipantReport[];
  readonly judge: ParticipantReport;
  readonly seed: number;
}

/** What results are made of. */
export interface ResultInput {
  readonly form: PkResults['form'];
  readonly names: readonly string[];
  readonly questions: readonly string[];
  readonly decisions: readonly Decision[];
  /** Decisions by group; left out: by the category and turn of the decisions. */
  readonly groups?: ReadonlyMap<string, readonly Decision[]> | undefined;
  readonly order: OrderAudit | null;
  readonly means: readonly SystemMean[];
  readonly unreadableJudgments: number;
  readonly judgments: number;
  readonly cutJudgments: number;
  /** Answers that reached max_new_tokens, by system. */
  readonly cutAnswers: ReadonlyMap<string, number>;
  readonly papersWithoutItems: number;
  readonly systems: readonly ParticipantReport[];
  readonly judge: ParticipantReport;
  readonly seed: number;
}

const strengthResamples = 500;

const isOf =
  ({ a, b }: Pair) =>
  (decision: Pair): boolean =>
    decision.a === a && decision.b === b;

/** One outcome a question, all its turns together; questions without a readable one are left out. */
function outcomesByQuestion(decisions: readonly Decision[]): Map<string, Outcome> {
  const all = new Map<string, Outcome[]>();
  for (const { question, outcome } of decisions) {
    if (outcome !== 'unreadable') all.set(question, [...(all.get(question) ?? []), outcome]);
  }
  return new Map([...all].map(([question, outcomes]) => [question, combineOutcomes(outcomes)]));
}

function countsOf(name: string, decisions: readonly Decision[]): GroupCounts {
  const count = (wanted: Outcome): number => decisions.filter(({ outcome }) => outcome === wanted).length;
  return { name, wins: count('win'), ties: count('tie'), losses: count('loss') };
}

/** Categories, or turns where there are no categories but several turns. */
function ownGroups(decisions: readonly Decision[]): ReadonlyMap<string, readonly Decision[]> {
  const byCategory = decisions.some(({ category }) => category !== undefined);
  const byTurn = decisions.some(({ turn }) => turn > 1);
  const groups = new Map<string, Decision[]>();
  const put = (name: string, decision: Decision): void => {
    groups.set(name, [...(groups.get(name) ?? []), decision]);
  };
  for (const decision of byCategory ? decisions : [])
    if (decision.category !== undefined) put(decision.category, decision);
  for (const decision of byTurn ? decisions : []) put(`turn ${decision.turn}`, decision);
  return groups;
}

function strengthsOf(input: ResultInput, outcomes: readonly (readonly [Pair, Map<string, Outcome>])[]): Strength[] {
  const { names, questions } = input;
  if (names.length < 3) return [];
  const fit = (chosen: readonly string[]): Float64Array =>
    bradleyTerry(
      names.length,
      outcomes.map(([{ a, b }, byQuestion]) => {
        const own = chosen.flatMap((question) => byQuestion.get(question) ?? []);
        const points = own.reduce((sum, outcome) => sum + pointsOf[outcome], 0);
        return { first: names.indexOf(a), second: names.indexOf(b), points, count: own.length };
      }),
    );
  const found = fit(questions);
  return names.map((system, i) => ({
    system,
    strength: found[i]!,
    // The same resamples for every system, as the seed is the same.
    ci: bootstrapInterval(questions.length, (indices) => fit(Array.from(indices, (q) => questions[q]!))[i]!, {
      seed: input.seed,
      resamples: strengthResamples,
    }),
  }));
}

/** Computes everything that is said about a comparison. */
export function summarize(input: ResultInput): PkResults {
  const pairs = pairsOf(input.names);
  const outcomes = pairs.map((pair) => {
    const own = input.decisions.filter(isOf(pair));
    return [pair, outcomesByQuestion(own)] as const;
  });
  const comparisons = outcomes.map(([, byQuestion]) => compareOutcomes([...byQuestion.values()]));
  const adjusted = holm(comparisons.map(({ p_value: p }) => p));
  const results = pairs.map((pair, i): PairResult => {
    const own = input.decisions.filter(isOf(pair));
    const judged = new Set(own.map(({ question }) => question)).size;
    const groups = [...(input.groups ?? ownGroups(own))].map(([name, all]) => countsOf(name, all.filter(isOf(pair))));
    return {
      ...pair,
      ...withAdjustedPValue(comparisons[i]!, adjusted[i]!),
      unreadable: judged - outcomes[i]![1].size,
      length: auditLength(own),
      groups,
    };
  });
  const findings = findingsOf(input, results).map((fields) => ({ code: fields.code, text: findingText(fields) }));
  return {
    ...results[0]!,
    form: input.form,
    questions: input.questions.length,
    order_agreement: input.order?.agreement ?? null,
    order: input.order,
    pairs: results,
    strengths: strengthsOf(input, outcomes),
    means: input.means,
    findings,
    systems: input.systems,
    judge: input.judge,
    seed: input.seed,
  };
}

/** Fewer judgments tell nothing of a judge. */
const leastForAudit = 20;
/** A place or a length that is favoured by less than this is no matter. */
const notableBias = 0.1;

function findingsOf(input: ResultInput, pairs: readonly PairResult[]): FindingFields[] {
  const found: FindingFields[] = [];
  const { order } = input;
  for (const [system, count] of input.cutAnswers) {
    if (count > 0) found.push({ code: 'answers-cut', system, count });
  }
  const { unreadableJudgments: unreadable, judgments, cutJudgments: cut, papersWithoutItems } = input;
  if (unreadable > 0) found.push({ code: 'judgments-unreadable', count: unreadable, of: judgments });
  if (cut > 0) found.push({ code: 'judgments-cut', count: cut, of: judgments });
  if (papersWithoutItems > 0)
    found.push({ code: 'papers-without-items', count: papersWithoutItems, of: input.questions.length });
  if (order !== null && order.n >= leastForAudit) {
    const { first_place: first, first_place_ci: interval, kappa, kappa_ci: kappaInterval, agreement } = order;
    const isBiased =
      first !== null &&
      interval !== null &&
      (interval[0] > 0.5 || interval[1] < 0.5) &&
      Math.abs(first - 0.5) > notableBias;
    if (isBiased) found.push({ code: 'judge-favours-place', form: input.form, share: first, interval });
    if (kappa !== null && kappaInterval !== null && kappaInterval[0] <= 0) {
      found.push({ code: 'judge-like-chance', agreement, kappa, interval: kappaInterval });
    }
    if (order.says_one_thing) found.push({ code: 'judge-says-one-thing', agreement });
  }
  for (const { a, b, length, n, wins, losses, better, detectable_win_rate: detectable, ...pair } of pairs) {
    const [decided, needed] = [wins + losses, pair.items_for_60_percent];
    const { longer_wins: longer, longer_wins_ci: interval } = length;
    const favoursLength =
      longer !== null && length.n >= leastForAudit && length.p_value < 0.05 && Math.abs(longer - 0.5) > notableBias;
    if (favoursLength) {
      found.push({
        code: 'length-decides',
        a,
        b,
        share: longer,
        interval: interval!,
        controlled: length.controlled_win_rate!,
      });
    }
    if (better === null && n > 0 && n < needed)
      found.push({ code: 'few-questions', a, b, n, decided, detectable, needed });
    if (n === 0) found.push({ code: 'nothing-judged', a, b });
  }
  return found;
}

/**
 * The mean of the numbers of one system, with its bootstrap over questions, as the numbers of one question hang together.
 * @param groups the numbers of each question
 */
export function meanOf(system: string, groups: readonly (readonly number[])[], seed: number): SystemMean {
  const sums = groups.map((values) => values.reduce((sum, value) => sum + value, 0));
  const over = (indices: Iterable<number>): { sum: number; n: number } => {
    let [sum, n] = [0, 0];
    for (const index of indices) {
      sum += sums[index]!;
      n += groups[index]!.length;
    }
    return { sum, n };
  };
  const { sum, n } = over(groups.keys());
  if (n === 0) return { system, mean: null, ci: null, n };
  const ratio = (indices: Uint32Array): number => {
    const { sum: drawn, n: count } = over(indices);
    return drawn / count;
  };
  return { system, mean: sum / n, ci: bootstrapInterval(groups.length, ratio, { seed }), n };
}
