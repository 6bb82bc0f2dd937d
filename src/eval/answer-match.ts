/** Exact match and F1 of words after SQuAD's normalisation (Rajpurkar et al. 2016): lower case, no punctuation, no articles. */
import { countNgrams, sharedCount } from './ngrams.ts';
import { splitOnSpace } from './python-text.ts';

/** Python's `string.punctuation`: other signs stay. */
const punctuation = /[!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]/g;
/** Articles between what Python takes for the borders of words: Chinese characters are word characters. */
const articles = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** The words that are compared. */
function normalizedWords(text: string): string[] {
  return splitOnSpace(text.toLowerCase().replace(punctuation, '').replace(articles, ' '));
}

/** Whether two answers are equal after normalisation. */
export function isExactMatch(prediction: string, label: string): boolean {
  return normalizedWords(prediction).join(' ') === normalizedWords(label).join(' ');
}

/** F1 of the words of two answers, from 0 to 1; 0 where either is empty. */
export function wordF1(prediction: string, label: string): number {
  const mine = normalizedWords(prediction);
  const theirs = normalizedWords(label);
  const shared = sharedCount(countNgrams(mine, 1), countNgrams(theirs, 1));
  if (shared === 0) return 0;
  const precision = shared / mine.length;
  const recall = shared / theirs.length;
  return (2 * precision * recall) / (precision + recall);
}
