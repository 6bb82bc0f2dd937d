/**
 * BLEU with a signature, as sacrebleu 2.6.0 computes it (Post 2018): counts are added over all rows, and orders without a match are
 * smoothed exponentially. One reference per row.
 */
import { bleuWords, type BleuTokenizerName } from './bleu-tokenizers.ts';
import { countNgrams, sharedCount } from './ngrams.ts';

export interface BleuOptions {
  readonly tokenizer: BleuTokenizerName;
  /** Leave out orders that the hypothesis is too short for: for single sentences. */
  readonly effectiveOrder: boolean;
}

/** Counts of one row or, added up, of many: lengths in words, then matches and n-grams of each order from 1 on. */
export interface BleuCounts {
  readonly hypothesisLength: number;
  readonly referenceLength: number;
  readonly matches: readonly number[];
  readonly totals: readonly number[];
}

const orders = [1, 2, 3, 4] as const;

/** A row's counts. */
export function bleuCounts(hypothesis: string, reference: string, tokenizer: BleuTokenizerName): BleuCounts {
  const mine = bleuWords(hypothesis, tokenizer);
  const theirs = bleuWords(reference, tokenizer);
  return {
    hypothesisLength: mine.length,
    referenceLength: theirs.length,
    matches: orders.map((order) => sharedCount(countNgrams(mine, order), countNgrams(theirs, order))),
    totals: orders.map((order) => Math.max(0, mine.length - order + 1)),
  };
}

/** Counts of many rows, added. */
export function addBleuCounts(rows: readonly BleuCounts[]): BleuCounts {
  const sum = (value: (row: BleuCounts) => number): number => rows.reduce((total, row) => total + value(row), 0);
  return {
    hypothesisLength: sum((row) => row.hypothesisLength),
    referenceLength: sum((row) => row.referenceLength),
    matches: orders.map((_, i) => sum((row) => row.matches[i]!)),
    totals: orders.map((_, i) => sum((row) => row.totals[i]!)),
  };
}

/** BLEU from 0 to 100 of added counts. */
export function bleuScore(counts: BleuCounts, effectiveOrder: boolean): number {
  const { hypothesisLength, referenceLength, matches, totals } = counts;
  if (matches.every((count) => count === 0)) return 0;
  let penalty = 1;
  if (hypothesisLength < referenceLength) {
    penalty = hypothesisLength > 0 ? Math.exp(1 - referenceLength / hypothesisLength) : 0;
  }
  const precisions: number[] = orders.map(() => 0);
  let smoothing = 1;
  let used: number = orders.length;
  for (const [i, total] of totals.entries()) {
    if (total === 0) break;
    if (effectiveOrder) used = i + 1;
    if (matches[i] === 0) smoothing *= 2;
    precisions[i] = matches[i] === 0 ? 100 / (smoothing * total) : (100 * matches[i]!) / total;
  }
  // sacrebleu takes -9999999999 for the logarithm of 0: the score is then 0.
  const logarithms = precisions.slice(0, used).map((value) => (value === 0 ? -9_999_999_999 : Math.log(value)));
  return penalty * Math.exp(logarithms.reduce((total, value) => total + value, 0) / used);
}

/** BLEU of a corpus: one hypothesis and one reference per row. */
export function corpusBleu(
  hypotheses: readonly string[],
  references: readonly string[],
  { tokenizer, effectiveOrder }: BleuOptions,
): number {
  const rows = hypotheses.map((hypothesis, i) => bleuCounts(hypothesis, references[i]!, tokenizer));
  return bleuScore(addBleuCounts(rows), effectiveOrder);
}

/** The signature that makes a score comparable, e.g. `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0`. */
export function bleuSignature({ tokenizer, effectiveOrder }: BleuOptions): string {
  return `nrefs:1|case:mixed|eff:${effectiveOrder ? 'yes' : 'no'}|tok:${tokenizer}|smooth:exp|version:2.6.0`;
}
