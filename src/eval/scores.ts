/** All numbers of a set of answers: means with intervals, corpus scores with their signatures, and for label tasks the report of the labels. */
import { type BleuTokenizerName } from './bleu-tokenizers.ts';
import { chrfCounts, chrfScore, chrfSignature } from './chrf.ts';
import { bootstrapInterval, bootstrapMean, bootstrapShare, type Interval } from './intervals.ts';
import { loadWordCutter } from './jieba.ts';
import { findLabels, labelMapper, type LabelMatch, labelMatchTexts, type LabelReport, labelReport } from './labels.ts';
import { mean } from './python-text.ts';
import { registeredMetrics, rowMetricNames, rowScores, type ScoredAnswer } from './row-metrics.ts';
import { bleuCounts, bleuScore, bleuSignature } from './sacrebleu.ts';

/** The settings of scoring, under their names in the config: a whole config fits. */
export interface ScoreSettings {
  readonly labels: readonly string[];
  readonly label_aliases: Readonly<Record<string, readonly string[]>>;
  readonly label_match: LabelMatch;
  readonly bleu_tokenizer: BleuTokenizerName | 'auto';
  readonly seed: number;
}

/** A number over all rows, with its 95 % interval by bootstrap over the rows; null where there are no rows. */
export interface Score {
  readonly value: number;
  readonly ci: Interval | null;
  /** Of what the value depends on besides the texts, for scores that are compared between papers. */
  readonly signature?: string;
}

/** How answers became labels, as the results state it. */
export interface LabelMapping {
  readonly labels: readonly string[];
  readonly source: 'config' | 'data';
  readonly match: LabelMatch;
  readonly rule: string;
}

/** What the labels come to. */
export interface LabelScores extends LabelReport {
  readonly mapping: LabelMapping;
  /** Rows whose own answer means no label; they are left out. */
  readonly referencesUnmapped: number;
  readonly accuracyInterval: Interval | null;
  /** The right label of each row; undefined: it means none. */
  readonly references: readonly (string | undefined)[];
  /** The predicted label of each row; null: unmapped; undefined: the row is left out. */
  readonly predicted: readonly (string | null | undefined)[];
}

/** All numbers of a set of answers. */
export interface Scores {
  readonly n: number;
  /** Means of the row metrics, in the order of their names; those of one's own behind. */
  readonly means: Readonly<Record<string, Score>>;
  /** The row metrics of each row. */
  readonly rows: readonly Readonly<Record<string, number>>[];
  readonly bleu: Score;
  readonly chrf: Score;
  /** Undefined where the answers are no labels. */
  readonly labels?: LabelScores;
}

/** Resamples of corpus scores, whose counts are added anew in each. */
const corpusResamples = 1000;

const chinese = /[\u3400-\u4dbf\u4e00-\u9fff]/;

/** A score that is computed from counts added over rows. */
function corpusScore(
  rows: readonly (readonly number[])[],
  score: (counts: readonly number[]) => number,
  signature: string,
  seed: number,
): Score {
  const width = rows[0]?.length ?? 0;
  const sums = new Float64Array(width);
  const add = (indices: Iterable<number>): readonly number[] => {
    sums.fill(0);
    for (const index of indices) for (let i = 0; i < width; i++) sums[i]! += rows[index]![i]!;
    return [...sums];
  };
  const value = score(add(rows.keys()));
  const resampled = bootstrapInterval(rows.length, (indices) => score(add(indices)), {
    seed,
    resamples: corpusResamples,
  });
  return { value, ci: rows.length === 0 ? null : resampled, signature };
}

function bleuOf(answers: readonly ScoredAnswer[], tokenizer: BleuTokenizerName, seed: number): Score {
  const rows = answers.map(({ predict, label }) => {
    const { hypothesisLength, referenceLength, matches, totals } = bleuCounts(predict, label, tokenizer);
    return [hypothesisLength, referenceLength, ...matches, ...totals];
  });
  const score = ([hypothesisLength = 0, referenceLength = 0, ...counts]: readonly number[]): number => {
    const orders = counts.length / 2;
    const parts = { matches: counts.slice(0, orders), totals: counts.slice(orders) };
    return bleuScore({ hypothesisLength, referenceLength, ...parts }, false);
  };
  return corpusScore(rows, score, bleuSignature({ tokenizer, effectiveOrder: false }), seed);
}

function chrfOf(answers: readonly ScoredAnswer[], seed: number): Score {
  const rows = answers.map(({ predict, label }) => chrfCounts(predict, label, false).flat());
  const score = (counts: readonly number[]): number =>
    chrfScore(
      Array.from({ length: counts.length / 3 }, (_, i) => [counts[3 * i]!, counts[3 * i + 1]!, counts[3 * i + 2]!]),
    );
  return corpusScore(rows, score, chrfSignature(false), seed);
}

function labelScores(answers: readonly ScoredAnswer[], settings: ScoreSettings): LabelScores | undefined {
  const labels = settings.labels.length > 0 ? settings.labels : findLabels(answers.map(({ label }) => label));
  if (labels === undefined) return undefined;
  const { label_match: match } = settings;
  const map = labelMapper({ labels, aliases: settings.label_aliases, match });
  const pairs = answers.map(({ predict, label }) => ({ label: map(label), predicted: map(predict) }));
  const known = pairs.flatMap(({ label, predicted }) => (label === undefined ? [] : [{ label, predicted }]));
  const right = known.map(({ label, predicted }) => Number(label === predicted));
  return {
    ...labelReport(labels, known),
    mapping: { labels, source: settings.labels.length > 0 ? 'config' : 'data', match, rule: labelMatchTexts[match] },
    referencesUnmapped: pairs.length - known.length,
    accuracyInterval: known.length === 0 ? null : bootstrapShare(right, { seed: settings.seed }),
    references: pairs.map(({ label }) => label),
    predicted: pairs.map(({ label, predicted }) => (label === undefined ? undefined : (predicted ?? null))),
  };
}

/** Computes all numbers of a set of answers. */
export async function scoreAnswers(answers: readonly ScoredAnswer[], settings: ScoreSettings): Promise<Scores> {
  const cut = await loadWordCutter();
  const own = [...registeredMetrics()];
  const rows = answers.map((answer): Record<string, number> => ({
    ...rowScores(answer, cut),
    ...Object.fromEntries(own.map(([name, metric]) => [name, metric(answer)])),
  }));
  const { seed, bleu_tokenizer } = settings;
  const names: readonly string[] = [...rowMetricNames, ...own.map(([name]) => name)];
  const means = names.map((name) => {
    const values = rows.map((row) => row[name]!);
    return [name, { value: mean(values), ci: values.length === 0 ? null : bootstrapMean(values, { seed }) }] as const;
  });
  const found = answers.some(({ label }) => chinese.test(label)) ? 'zh' : '13a';
  const labels = labelScores(answers, settings);
  return {
    n: answers.length,
    means: Object.fromEntries(means),
    rows,
    bleu: bleuOf(answers, bleu_tokenizer === 'auto' ? found : bleu_tokenizer, seed),
    chrf: chrfOf(answers, seed),
    ...(labels === undefined ? {} : { labels }),
  };
}
