/** What the rows need of a tokenizer and a template: conversations and texts become ids and labels. Knows no `node:` module. */
import type { Conversation } from './conversation.ts';

/** Ids and labels without the row that they come from. */
export interface EncodedRow {
  /** i32[T]. */
  readonly inputIds: Int32Array;
  /** i32[T], -100 where a token is not trained. */
  readonly labels: Int32Array;
  /** f32[T]; left out means 1 everywhere. */
  readonly weights?: Float32Array;
}

/** A pure function of the row: equal rows give equal ids, in any order and on any worker. */
export interface RowEncoder {
  /** One sequence, or several where a turn must be trained as inference would see it (contract 14). */
  encodeConversation(conversation: Conversation): readonly EncodedRow[];
  /** A text and its end token, every token trained. */
  encodeText(text: string): EncodedRow;
  /** Number of tokens of a text alone. */
  countTokens(text: string): number;
  /** The longest start of a text that has at most `count` tokens. */
  takeTokens(text: string, count: number): string;
}
