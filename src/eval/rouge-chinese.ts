/**
 * ROUGE-1, -2 and -L of two texts whose words are divided by spaces, as Python's `rouge_chinese` 1.0.3 computes them: n-grams are
 * counted once each, and ROUGE-L is the longest common subsequence of all words. Not the ROUGE of `rouge_score`.
 */
import { splitOnSpace, stripEnd } from './python-text.ts';

/** F1 values from 0 to 1. */
export interface RougeScores {
  readonly rouge1: number;
  readonly rouge2: number;
  readonly rougeL: number;
}

/** What keeps `rouge_chinese` from dividing by zero; part of its values. */
const epsilon = 1e-8;

/** The package ends sentences behind these signs, which only matters for sentences of nothing but spaces. */
function sentences(text: string): string[] {
  const divided = text
    .replace(/([。！？?])([^”’])/gu, '$1\n$2')
    .replace(/(\.{6})([^”’])/gu, '$1\n$2')
    .replace(/(…{2})([^”’])/gu, '$1\n$2')
    .replace(/([。！？?][”’])([^，。！？?])/gu, '$1\n$2');
  return stripEnd(divided).split('\n');
}

function words(text: string): string[] {
  return sentences(text)
    .filter((sentence) => sentence !== '')
    .flatMap((sentence) => splitOnSpace(sentence).join(' ').split(' '));
}

function harmonic(precision: number, recall: number): number {
  return 2 * ((precision * recall) / (precision + recall + epsilon));
}

function ngrams(list: readonly string[], order: number): Set<string> {
  const found = new Set<string>();
  for (let i = 0; i + order <= list.length; i++) found.add(list.slice(i, i + order).join(' '));
  return found;
}

function overlap(hypothesis: readonly string[], reference: readonly string[], order: number): number {
  const mine = ngrams(hypothesis, order);
  const theirs = ngrams(reference, order);
  let shared = 0;
  for (const gram of mine) if (theirs.has(gram)) shared++;
  return harmonic(mine.size === 0 ? 0 : shared / mine.size, theirs.size === 0 ? 0 : shared / theirs.size);
}

/** Length of the longest common subsequence, in memory of one row. */
function commonLength(first: readonly string[], second: readonly string[]): number {
  const row = new Uint32Array(second.length + 1);
  for (const word of first) {
    let diagonal = 0;
    for (let j = 1; j <= second.length; j++) {
      const above = row[j]!;
      row[j] = word === second[j - 1] ? diagonal + 1 : Math.max(above, row[j - 1]!);
      diagonal = above;
    }
  }
  return row[second.length]!;
}

/** Scores of a hypothesis against one reference; all 0 where a text holds no word. */
export function rougeChinese(hypothesis: string, reference: string): RougeScores {
  if (splitOnSpace(hypothesis).length === 0 || splitOnSpace(reference).length === 0) {
    return { rouge1: 0, rouge2: 0, rougeL: 0 };
  }
  const mine = words(hypothesis);
  const theirs = words(reference);
  const common = commonLength(mine, theirs);
  return {
    rouge1: overlap(mine, theirs, 1),
    rouge2: overlap(mine, theirs, 2),
    rougeL: harmonic(common / mine.length, common / theirs.length),
  };
}
