/**
 * A small trainer of byte-level BPE: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016,
 * over bytes as in GPT-2. Words are counted once; each merge joins the most frequent pair of neighbours.
 */

/** GPT-2's split into words, which `tokenizer.json` calls ByteLevel with use_regex. */
const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** GPT-2's printable character for each byte, so that pieces can stand in JSON. */
export function byteCharacters(): string[] {
  const characters: string[] = [];
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    characters.push(String.fromCodePoint(printable ? byte : next++));
  }
  return characters;
}

export interface Bpe {
  /** All pieces: the 256 bytes first, then one for each merge. */
  readonly pieces: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
}

/** Learns merges from texts until there are `size` pieces or no pair occurs `minimum` times. Ties go to the smaller pair. */
export function trainBpe(texts: Iterable<string>, size: number, minimum: number): Bpe {
  const bytes = byteCharacters();
  const encoder = new TextEncoder();
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const words = [...counts].map(([word, count]) => ({
    pieces: Array.from(encoder.encode(word), (byte) => bytes[byte] ?? ''),
    count,
  }));
  const pieces = [...bytes];
  const merges: [string, string][] = [];
  while (pieces.length < size) {
    // A few thousand distinct words: counting all pairs anew for each merge takes seconds and needs no bookkeeping.
    const pairs = new Map<string, number>();
    for (const { pieces: word, count } of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        const pair = `${word[i]} ${word[i + 1]}`;
        pairs.set(pair, (pairs.get(pair) ?? 0) + count);
      }
    }
    let best = '';
    let most = minimum - 1;
    for (const [pair, count] of pairs) {
      if (count > most || (count === most && best !== '' && pair < best)) [best, most] = [pair, count];
    }
    if (best === '') break;
    const [left = '', right = ''] = best.split(' ');
    merges.push([left, right]);
    pieces.push(left + right);
    for (const word of words) merge(word.pieces, left, right);
  }
  return { pieces, merges };
}

/** Joins every neighbouring `left`, `right` in place, from the left. */
function merge(word: string[], left: string, right: string): void {
  for (let i = 0; i + 1 < word.length; i++) {
    if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
  }
}
