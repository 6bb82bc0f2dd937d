/** Which words of a text another text lacks: the words outside of their longest common subsequence. */

/** A stretch of a text. */
export interface MarkedPart {
  readonly text: string;
  /** Whether the other text lacks it. */
  readonly differs: boolean;
}

/** Texts with more words than this are compared as a whole: the table grows with the product. */
const mostWords = 800;

/** Words, single Chinese characters, runs of blanks, and signs. */
const pieces = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[\p{L}\p{N}\p{M}]+|\s+|[^\p{L}\p{N}\s]/gu;

/** Marks what of `text` the other text lacks. */
export function markDifferences(text: string, other: string): readonly MarkedPart[] {
  if (text === '') return [];
  const mine = text.match(pieces) ?? [text];
  const theirs = other.match(pieces) ?? [];
  if (mine.length > mostWords || theirs.length > mostWords) return [{ text, differs: text !== other }];
  const width = theirs.length + 1;
  const lengths = new Uint16Array((mine.length + 1) * width);
  for (let i = mine.length - 1; i >= 0; i--) {
    for (let j = theirs.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        mine[i] === theirs[j]
          ? lengths[(i + 1) * width + j + 1]! + 1
          : Math.max(lengths[(i + 1) * width + j]!, lengths[i * width + j + 1]!);
    }
  }
  const parts: { text: string; differs: boolean }[] = [];
  for (let i = 0, j = 0; i < mine.length; i++) {
    while (j < theirs.length && mine[i] !== theirs[j] && lengths[i * width + j + 1]! >= lengths[(i + 1) * width + j]!)
      j++;
    const isShared = j < theirs.length && mine[i] === theirs[j];
    if (isShared) j++;
    const last = parts.at(-1);
    if (last?.differs === !isShared) last.text += mine[i]!;
    else parts.push({ text: mine[i]!, differs: !isShared });
  }
  return parts;
}
