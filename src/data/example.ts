/** What a row becomes before it is tokenised. Knows no `node:` module. */
import type { Conversation, Message } from '../template/index.ts';

/** A conversation whose assistant turns are trained. */
export interface ConversationExample {
  readonly kind: 'conversation';
  readonly conversation: Conversation;
}
/** A plain text, every token trained. */
export interface TextExample {
  readonly kind: 'text';
  readonly text: string;
}
/** One prompt with a better and a worse answer. */
export interface PairExample {
  readonly kind: 'pair';
  readonly prompt: Conversation;
  readonly chosen: Message;
  readonly rejected: Message;
}
/** One conversation whose last answer is marked as wanted or not. */
export interface TaggedExample {
  readonly kind: 'tagged';
  readonly conversation: Conversation;
  readonly desirable: boolean;
}
export type Example = ConversationExample | TextExample | PairExample | TaggedExample;
