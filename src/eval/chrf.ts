/** chrF and chrF++ as sacrebleu 2.6.0 computes them (Popović 2015, 2017): F2 of character n-grams, for chrF++ of words too. */
import { countNgrams, sharedCount, totalCount } from './ngrams.ts';
import { splitOnSpace } from './python-text.ts';

/** Highest order of character n-grams, and for chrF++ of word n-grams. */
const characterOrder = 6;
const wordOrder = 2;
/** Recall counts as much as precision times its square. */
const beta = 2;

const signs = new Set('!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~');

/** Counts by order: n-grams of the hypothesis (0 where the reference has none), of the reference, and of both. */
export type ChrfCounts = readonly (readonly [number, number, number])[];

/** Words, with one sign at the end, or else at the beginning, as a word of its own. */
function words(text: string): string[] {
  return splitOnSpace(text).flatMap((word) => {
    const characters = Array.from(word);
    if (characters.length === 1) return [word];
    if (signs.has(characters.at(-1)!)) return [characters.slice(0, -1).join(''), characters.at(-1)!];
    if (signs.has(characters[0]!)) return [characters[0]!, characters.slice(1).join('')];
    return [word];
  });
}

/** A row's counts; `withWords` for chrF++. */
export function chrfCounts(hypothesis: string, reference: string, withWords: boolean): ChrfCounts {
  const mine = Array.from(splitOnSpace(hypothesis).join(''));
  const theirs = Array.from(splitOnSpace(reference).join(''));
  const counts: [number, number, number][] = [];
  const add = (a: readonly string[], b: readonly string[], highest: number, separator: string): void => {
    for (let order = 1; order <= highest; order++) {
      const first = countNgrams(a, order, separator);
      const second = countNgrams(b, order, separator);
      counts.push([second.size > 0 ? totalCount(first) : 0, totalCount(second), sharedCount(first, second)]);
    }
  };
  add(mine, theirs, characterOrder, '');
  if (withWords) add(words(hypothesis), words(reference), wordOrder, ' ');
  return counts;
}

/** Counts of many rows, added. */
export function addChrfCounts(rows: readonly ChrfCounts[]): ChrfCounts {
  return (rows[0] ?? []).map((_, order) => {
    const sum = (part: 0 | 1 | 2): number => rows.reduce((total, row) => total + row[order]![part], 0);
    return [sum(0), sum(1), sum(2)] as const;
  });
}

/** chrF from 0 to 100 of added counts. */
export function chrfScore(counts: ChrfCounts): number {
  let precision = 0;
  let recall = 0;
  let used = 0;
  for (const [hypothesis, reference, shared] of counts) {
    if (hypothesis === 0 || reference === 0) continue;
    precision += shared / hypothesis;
    recall += shared / reference;
    used++;
  }
  if (used === 0 || precision + recall === 0) return 0;
  precision /= used;
  recall /= used;
  const factor = beta ** 2;
  return (100 * (1 + factor) * precision * recall) / (factor * precision + recall);
}

/** The signature of sacrebleu, e.g. `nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0`. */
export function chrfSignature(withWords: boolean): string {
  return `nrefs:1|case:mixed|eff:yes|nc:${characterOrder}|nw:${withWords ? wordOrder : 0}|space:no|version:2.6.0`;
}
