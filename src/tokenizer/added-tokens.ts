/**
 * Tokens that were added to a model and are found in the text before anything else happens to it: the leftmost, and
 * of those that begin at one place the longest (Hugging Face tokenizers, added_vocabulary.rs).
 */
import {
  asArray,
  asObject,
  asString,
  asTokenId,
  at,
  invalid,
  maxPieceLength,
  maxTokenId,
  optionalBoolean,
  type Place,
} from './checked-json.ts';
import { whiteSpaceSet } from './regex.ts';

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Left out of decoded text where special tokens are skipped. */
  readonly special: boolean;
  /** Only where no letter or digit stands beside it. */
  readonly singleWord: boolean;
  /** Takes the blanks before it along. */
  readonly leftStrip: boolean;
  /** Takes the blanks after it along. */
  readonly rightStrip: boolean;
  /** Searched in the normalised text rather than in the text as it came. */
  readonly normalized: boolean;
}

/** Reads one token object; its id is given apart in `added_tokens_decoder`. */
export function readAddedToken(value: unknown, id: unknown, place: Place): AddedToken {
  const token = asObject(value, place);
  const content = asString(token['content'], at(place, 'content'));
  if (content === '' || content.length > maxPieceLength) {
    invalid(at(place, 'content'), `a text of 1 to ${maxPieceLength} characters`, `${content.length}`);
  }
  const special = optionalBoolean(token['special'], at(place, 'special'), false);
  return {
    id: asTokenId(id, at(place, 'id')),
    content,
    special,
    singleWord: optionalBoolean(token['single_word'], at(place, 'single_word'), false),
    leftStrip: optionalBoolean(token['lstrip'], at(place, 'lstrip'), false),
    rightStrip: optionalBoolean(token['rstrip'], at(place, 'rstrip'), false),
    normalized: optionalBoolean(token['normalized'], at(place, 'normalized'), !special),
  };
}

/** Reads the `added_tokens` list of tokenizer.json. */
export function readAddedTokens(value: unknown, place: Place): AddedToken[] {
  if (value === undefined || value === null) return [];
  return asArray(value, place, maxTokenId).map((entry, i) => {
    const here = at(place, i);
    return readAddedToken(entry, asObject(entry, here)['id'], here);
  });
}

/** Letters, marks, digits and joiners: `\w` of Rust's regex crate. */
const word = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/uy;
const leadingBlanks = new RegExp(`[${whiteSpaceSet}]*`, 'uy');
const trailingBlanks = new RegExp(`[${whiteSpaceSet}]*$`, 'u');

const isWordAt = (text: string, index: number): boolean => {
  word.lastIndex = index;
  return word.test(text);
};

function isWordBefore(text: string, index: number): boolean {
  const unit = text.charCodeAt(index - 1);
  return isWordAt(text, unit >= 0xdc00 && unit < 0xe000 && index > 1 ? index - 2 : index - 1);
}

/** One found token, `text[start, end)` with the blanks that it takes along. */
export interface FoundToken {
  readonly token: AddedToken;
  readonly start: number;
  readonly end: number;
}

/** Finds added tokens in text. */
export class AddedTokenFinder {
  /** Tokens by their first UTF-16 unit, longest first. */
  private readonly byFirstUnit = new Map<number, { content: string; token: AddedToken }[]>();
  private readonly isFirstUnit = new Uint8Array(0x10000);

  /** @param contentOf the text searched for each token (its normalised content in normalised text). */
  constructor(tokens: readonly AddedToken[], contentOf: (token: AddedToken) => string = (token) => token.content) {
    for (const token of tokens) {
      const content = contentOf(token);
      if (content === '') continue;
      const unit = content.charCodeAt(0);
      this.isFirstUnit[unit] = 1;
      const list = this.byFirstUnit.get(unit) ?? [];
      list.push({ content, token });
      this.byFirstUnit.set(unit, list);
    }
    for (const list of this.byFirstUnit.values()) list.sort((a, b) => b.content.length - a.content.length);
  }

  get isEmpty(): boolean {
    return this.byFirstUnit.size === 0;
  }

  /** All tokens in order. Ends never fall, starts never go back behind an earlier end. */
  find(text: string): FoundToken[] {
    const found: FoundToken[] = [];
    if (this.isEmpty) return found;
    let cursor = 0;
    for (let i = 0; i < text.length; i++) {
      if (this.isFirstUnit[text.charCodeAt(i)] === 0) continue;
      const candidate = this.byFirstUnit.get(text.charCodeAt(i))!.find(({ content }) => text.startsWith(content, i));
      if (candidate === undefined) continue;
      const { token, content } = candidate;
      let start = i;
      let end = i + content.length;
      i = end - 1;
      if (token.singleWord && ((start > 0 && isWordBefore(text, start)) || (end < text.length && isWordAt(text, end))))
        continue;
      if (token.leftStrip) start = Math.max(cursor, start - trailingBlanks.exec(text.slice(cursor, start))![0].length);
      if (token.rightStrip) {
        leadingBlanks.lastIndex = end;
        end += leadingBlanks.exec(text)?.[0].length ?? 0;
      }
      found.push({ token, start: Math.max(start, cursor), end });
      cursor = end;
    }
    return found;
  }
}
