/** The pictures of a comparison: win, tie and lose bars as article D draws them, and the strengths of several systems. */
import { barChart, formatShare } from '../../charts/index.ts';
import { pkTexts } from '../../messages/pk.ts';
import type { PairResult, PkResults } from './results.ts';

/** Blue, grey, orange: distinct for every eye, and no judgement in green and red. */
const colours = { win: '#0072B2', tie: '#B8C0C8', loss: '#D55E00' } as const;

interface Bars {
  readonly title: string;
  readonly subtitle: string;
  readonly first: string;
  readonly second: string;
  readonly valueLabel: string;
}

function winTieLose(
  rows: readonly { readonly name: string; readonly wins: number; readonly ties: number; readonly losses: number }[],
  { title, subtitle, first, second, valueLabel }: Bars,
): string {
  return barChart({
    title,
    subtitle,
    direction: 'lying',
    stacked: true,
    height: Math.min(2000, Math.max(250, 190 + rows.length * 48)),
    categories: rows.map(({ name }) => name),
    series: [
      { label: first, values: rows.map(({ wins }) => wins), colour: colours.win },
      { label: pkTexts.tie, values: rows.map(({ ties }) => ties), colour: colours.tie },
      { label: second, values: rows.map(({ losses }) => losses), colour: colours.loss },
    ],
    valueLabel,
  });
}

const unitOf = (results: PkResults): string => (results.form === 'aspects' ? pkTexts.papers : pkTexts.questions);

/** One bar for every two systems. */
export function overallBars(results: PkResults): string {
  const [only, second] = results.pairs;
  const isOne = second === undefined;
  return winTieLose(
    results.pairs.map((pair) => ({ ...pair, name: isOne ? pkTexts.overall : pkTexts.against(pair.a, pair.b) })),
    {
      title: isOne ? pkTexts.against(only!.a, only!.b) : pkTexts.allPairs,
      subtitle: isOne ? pkTexts.verdict(only!) : pkTexts.judgedBy(results.judge.title),
      first: isOne ? pkTexts.winsOf(only!.a) : pkTexts.firstWins,
      second: isOne ? pkTexts.winsOf(only!.b) : pkTexts.secondWins,
      valueLabel: unitOf(results),
    },
  );
}

/** One bar for each category, turn or aspect of a pair, below that of all; undefined where there is only one group. */
export function groupBars(results: PkResults, pair: PairResult): string | undefined {
  if (pair.groups.length < 2) return undefined;
  const named = pair.groups.map((group) => (group.name === '' ? { ...group, name: pkTexts.noHeading } : group));
  return winTieLose(named, {
    title: `${pkTexts.against(pair.a, pair.b)}: ${results.form === 'aspects' ? pkTexts.byAspect : pkTexts.byGroup}`,
    subtitle: pkTexts.judgedBy(results.judge.title),
    first: pkTexts.winsOf(pair.a),
    second: pkTexts.winsOf(pair.b),
    valueLabel: results.form === 'aspects' ? pkTexts.papers : pkTexts.answers,
  });
}

/** Win rates of every pair with their intervals. */
export function winRates(results: PkResults): string {
  const judged = results.pairs.filter(({ win_rate: rate }) => rate !== null);
  return barChart({
    title: pkTexts.winRates,
    subtitle: pkTexts.winRatesNote,
    direction: 'lying',
    height: Math.min(2000, Math.max(250, 190 + judged.length * 48)),
    categories: judged.map(({ a, b }) => pkTexts.against(a, b)),
    series: [
      {
        label: pkTexts.winRate,
        values: judged.map(({ win_rate: rate }) => rate!),
        intervals: judged.map(({ ci }) => [ci![0], ci![1]]),
      },
    ],
    format: formatShare,
    valueLabel: pkTexts.winRate,
  });
}

/** Strengths of three systems or more. */
export function strengthBars(results: PkResults): string | undefined {
  if (results.strengths.length === 0) return undefined;
  const ordered = [...results.strengths].sort((x, y) => y.strength - x.strength);
  return barChart({
    title: pkTexts.strengths,
    subtitle: pkTexts.strengthsNote,
    direction: 'lying',
    height: Math.min(2000, Math.max(250, 190 + ordered.length * 48)),
    categories: ordered.map(({ system }) => system),
    series: [
      {
        label: pkTexts.strength,
        values: ordered.map(({ strength }) => strength),
        intervals: ordered.map(({ ci }) => [ci[0], ci[1]]),
      },
    ],
    format: (value) => value.toFixed(2),
    valueLabel: pkTexts.strength,
  });
}
