/**
 * The four numbers that LLaMA-Factory prints for predictions: ROUGE over jieba's words, and BLEU-4 over characters (in English too)
 * as NLTK's `sentence_bleu` with smoothing method 3. Per row, in per cent, rounded to four digits as it does.
 */
import type { WordCutter } from './jieba.ts';
import { countNgrams, sharedCount } from './ngrams.ts';
import { roundTo4 } from './python-text.ts';
import { rougeChinese } from './rouge-chinese.ts';

/** Scores of a row, in per cent. */
export interface SimilarityScores {
  readonly 'bleu-4': number;
  readonly 'rouge-1': number;
  readonly 'rouge-2': number;
  readonly 'rouge-l': number;
}

/** Orders of n-grams that BLEU-4 averages. */
const orders = [1, 2, 3, 4] as const;

/**
 * NLTK's `sentence_bleu([reference], hypothesis, smoothing_function=SmoothingFunction().method3)`, from 0 to 1: an order without a
 * match counts as half a match, the next one as a quarter, and so on.
 */
export function sentenceBleu(hypothesis: readonly string[], reference: readonly string[]): number {
  let logarithms = 0;
  let halvings = 0;
  for (const order of orders) {
    const shared = sharedCount(countNgrams(hypothesis, order, ''), countNgrams(reference, order, ''));
    if (order === 1 && shared === 0) return 0;
    const total = Math.max(1, hypothesis.length - order + 1);
    const precision = shared === 0 ? 1 / (2 ** ++halvings * total) : shared / total;
    logarithms += Math.log(precision) / orders.length;
  }
  const penalty = hypothesis.length > reference.length ? 1 : Math.exp(1 - reference.length / hypothesis.length);
  return penalty * Math.exp(logarithms);
}

/** A row's scores as LLaMA-Factory's `ComputeSimilarity` gives them. */
export function similarityScores(prediction: string, label: string, cut: WordCutter): SimilarityScores {
  const rouge = rougeChinese(cut(prediction).join(' '), cut(label).join(' '));
  return {
    'bleu-4': roundTo4(sentenceBleu(Array.from(prediction), Array.from(label)) * 100),
    'rouge-1': roundTo4(rouge.rouge1 * 100),
    'rouge-2': roundTo4(rouge.rouge2 * 100),
    'rouge-l': roundTo4(rouge.rougeL * 100),
  };
}
