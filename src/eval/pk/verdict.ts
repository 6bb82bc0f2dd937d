/**
 * From a judge's words to its verdict. The last mark counts, as judges that think aloud mention marks before they decide
 * (FastChat takes the first of A, B, C that occurs at all).
 */

/** Who is better in the order shown. */
export type PairVerdict = 'first' | 'second' | 'tie' | 'unreadable';

function lastMatch(text: string, pattern: RegExp): string | undefined {
  return [...text.matchAll(pattern)].at(-1)?.[1];
}

/** `[[A]]`, `[[B]]` or `[[C]]`. */
export function parsePairVerdict(text: string): PairVerdict {
  switch (lastMatch(text, /\[\[([ABC])\]\]/g)) {
    case 'A':
      return 'first';
    case 'B':
      return 'second';
    case 'C':
      return 'tie';
    default:
      return 'unreadable';
  }
}

/** A rating from 1 to 10 as `[[7]]`, else as `[7]`; undefined where there is none. */
export function parseRating(text: string): number | undefined {
  const written = lastMatch(text, /\[\[(\d+\.?\d*)\]\]/g) ?? lastMatch(text, /\[(\d+\.?\d*)\]/g);
  const rating = Number(written);
  return written !== undefined && rating >= 1 && rating <= 10 ? rating : undefined;
}

/** A number from 0 to `most` as `[[3]]`; undefined where there is none. */
export function parseNumber(text: string, most: number): number | undefined {
  const written = lastMatch(text, /\[\[(\d+)\]\]/g);
  return written !== undefined && Number(written) <= most ? Number(written) : undefined;
}

/** Ratings that differ by no more are a tie, as in FastChat. */
export const tieDelta = 0.1;
