/** The vocabulary by the bytes that tokens stand for: which tokens begin with a text, and which a text begins with. */
import type { Tokenizer } from '../tokenizer/index.ts';

/** Bytes as text: one character U+0000 to U+00FF a byte. */
export function asBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Tokens longer than this many bytes (runs of blanks, mostly) are not looked for before a place. */
const maxLookBack = 32;

export class VocabularyIndex {
  /** Bytes of each id, as `asBytes` writes them. */
  private readonly bytes: string[];
  /** Ids in the order of their bytes. */
  private readonly sorted: Int32Array;
  /** Ids that add nothing to the text: special tokens that are not shown, holes. */
  readonly silent: readonly number[];
  /** Bytes of the longest token that is looked for. */
  readonly longest: number;

  /** @param skipSpecialTokens whether special tokens are left out of the text. */
  constructor(tokenizer: Pick<Tokenizer, 'vocabularySize' | 'specialIds' | 'tokenBytes'>, skipSpecialTokens: boolean) {
    this.bytes = Array.from({ length: tokenizer.vocabularySize }, (_, id) =>
      skipSpecialTokens && tokenizer.specialIds.has(id) ? '' : Buffer.from(tokenizer.tokenBytes(id)).toString('latin1'),
    );
    const { bytes } = this;
    this.sorted = Int32Array.from(bytes.keys()).sort((a, b) =>
      bytes[a]! < bytes[b]! ? -1 : bytes[a]! > bytes[b]! ? 1 : a - b,
    );
    this.silent = [...bytes.keys()].filter((id) => bytes[id] === '');
    this.longest = Math.min(
      maxLookBack,
      bytes.reduce((most, { length }) => Math.max(most, length), 0),
    );
  }

  /** What a token adds to the text. A model may have more rows than its tokenizer has tokens: those add nothing. */
  of(id: number): string {
    return this.bytes[id] ?? '';
  }

  /** The place of the first token in order that is not before `prefix`. */
  private firstFrom(prefix: string): number {
    let [low, high] = [0, this.sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.bytes[this.sorted[middle]!]! < prefix) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether a token begins with `prefix`. */
  hasStartingWith(prefix: string): boolean {
    const id = this.sorted[this.firstFrom(prefix)];
    return id !== undefined && this.bytes[id]!.startsWith(prefix);
  }

  /** Ids of the tokens that begin with `prefix`, which is not empty. */
  startingWith(prefix: string): number[] {
    const found: number[] = [];
    for (let place = this.firstFrom(prefix); place < this.sorted.length; place++) {
      const id = this.sorted[place]!;
      if (!this.bytes[id]!.startsWith(prefix)) break;
      found.push(id);
    }
    return found;
  }

  /** Ids of the tokens that are a beginning of `text`, shorter than it; silent ones are. */
  beginningsOf(text: string): number[] {
    const found = [...this.silent];
    for (let length = 1; length < text.length; length++) {
      const prefix = text.slice(0, length);
      for (let place = this.firstFrom(prefix); this.bytes[this.sorted[place]!] === prefix; place++) {
        found.push(this.sorted[place]!);
      }
    }
    return found;
  }
}
