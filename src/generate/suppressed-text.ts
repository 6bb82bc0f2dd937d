/** The texts that are suppressed in an answer, and where in it each may begin. */
import { asBytes, type VocabularyIndex } from './vocabulary-index.ts';

/** One text to be suppressed. */
export interface Suppression {
  readonly text: string;
  /** 0: never; 1: nothing changes. */
  readonly coefficient: number;
  /** Where the text must begin: anywhere, or behind `begin` and not behind `end`. */
  readonly scope: 'answer' | { readonly begin: string; readonly end: string };
  /** Times that it may occur in the scope at all; left out: no bound. */
  readonly maxCount?: number | undefined;
}

/** What happened to one text in one answer. */
export interface SuppressionReport {
  readonly text: string;
  /** Places in the scope at which its beginning was drawn. */
  readonly possible: number;
  /** Times that it was spelled and stayed. */
  readonly fired: number;
  /** Times that it was taken back; in beam search: places where it was more probable than not, and is not spelled. */
  readonly avoided: number;
}

/** A suppression as the search sees it: texts as bytes. */
export interface SuppressedText {
  readonly suppression: Suppression;
  readonly bytes: string;
  readonly scope: { readonly begin: string; readonly end: string } | undefined;
}

/** Those that change anything: a coefficient of 1 without a bound does not, to the bit. */
export function suppressedTexts(suppressions: readonly Suppression[]): SuppressedText[] {
  return suppressions
    .filter(({ text, coefficient, maxCount }) => text !== '' && (coefficient < 1 || maxCount !== undefined))
    .map((suppression) => ({
      suppression,
      bytes: asBytes(suppression.text),
      scope:
        suppression.scope === 'answer'
          ? undefined
          : { begin: asBytes(suppression.scope.begin), end: asBytes(suppression.scope.end) },
    }));
}

/** Whether a text may begin at a byte of the answer, by what stands before it. */
export function isInScope({ scope }: SuppressedText, answer: string, at: number): boolean {
  if (scope === undefined) return true;
  const { begin, end } = scope;
  const opened = at < begin.length ? -1 : answer.lastIndexOf(begin, at - begin.length);
  if (opened < 0) return false;
  const closed = end === '' ? -1 : answer.indexOf(end, opened + begin.length);
  return closed < 0 || closed + end.length > at;
}

/** What is left of the coefficient of a text that has stayed so often. */
export function coefficientOf({ suppression: { coefficient, maxCount } }: SuppressedText, fired: number): number {
  return maxCount !== undefined && fired >= maxCount ? 0 : coefficient;
}

/**
 * The token from which a text at a byte of the answer can have begun: the one that covers the byte, or an earlier one at which a
 * token of the vocabulary begins that reaches across it.
 * @param ends bytes of the answer up to the end of each token.
 * @param first tokens before this one stay.
 */
export function spellingRoot(
  text: SuppressedText,
  answer: string,
  ends: readonly number[],
  at: number,
  vocabulary: VocabularyIndex,
  first = 0,
): number {
  // the first token that ends behind the place begins at or before it
  let root = ends.findIndex((end) => end > at);
  if (root < 0) root = ends.length;
  for (let token = root - 1; token >= first; token--) {
    const begin = ends[token - 1] ?? 0;
    if (at - begin >= vocabulary.longest) break;
    if (vocabulary.hasStartingWith(answer.slice(begin, at) + text.bytes[0]!)) root = token;
  }
  return Math.max(root, Math.min(first, ends.length));
}
