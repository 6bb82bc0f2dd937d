/** Decoding token by token: gives text as soon as it is certain, never half a character. */
import type { Tokenizer } from './tokenizer.ts';

const replacement = '\ufffd';
/** After this many tokens without certain text, what is there is given: no character takes so many tokens. */
const maxHeldTokens = 16;
/** Ids before the first one that are looked at: enough for the bytes of one character and a word before it. */
const contextLength = 8;

/** Incremental decoding whose parts, joined, are `decode` of all ids. */
export class StreamDecoder {
  private readonly tokenizer: Tokenizer;
  private readonly skipSpecialTokens: boolean;
  /** The last ids; those before `given` have been given as text and stand for context. */
  private ids: number[];
  private given: number;

  /**
   * @param options.contextIds ids that stand before the first pushed one: with them the blank at the beginning of a
   * SentencePiece answer is kept, because the answer does not begin a text.
   */
  constructor(
    tokenizer: Tokenizer,
    options: { readonly skipSpecialTokens?: boolean; readonly contextIds?: ArrayLike<number> } = {},
  ) {
    this.tokenizer = tokenizer;
    this.skipSpecialTokens = options.skipSpecialTokens ?? true;
    this.ids = Array.from(options.contextIds ?? []).slice(-contextLength);
    // Context must not begin inside a character.
    while (this.text(this.ids).startsWith(replacement)) this.ids.shift();
    this.given = this.ids.length;
  }

  private text(ids: readonly number[]): string {
    return this.tokenizer.decode(ids, { skipSpecialTokens: this.skipSpecialTokens });
  }

  private take(): string {
    const before = this.text(this.ids.slice(0, this.given));
    const whole = this.text(this.ids);
    // Tokens that gave text become the context: they begin and end between characters.
    if (whole.length > before.length) this.ids = this.ids.slice(this.given);
    this.given = this.ids.length;
    return whole.slice(before.length);
  }

  /** Takes the next id and gives the text that became certain, possibly none. */
  push(id: number): string {
    this.ids.push(id);
    const held = this.ids.length - this.given;
    if (held < maxHeldTokens && this.text(this.ids).endsWith(replacement)) return '';
    return this.take();
  }

  /** Gives what is still held: bytes that became no character come as U+FFFD. */
  flush(): string {
    return this.ids.length > this.given ? this.take() : '';
  }
}
