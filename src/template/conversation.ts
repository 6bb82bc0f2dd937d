/** The one internal form of a conversation. */

export type Role = 'system' | 'user' | 'assistant' | 'tool';

/** A call of a tool that an assistant turn makes. */
export interface ToolCall {
  readonly name: string;
  /** The arguments as data, or the text as it stood where it is no JSON object. */
  readonly arguments: unknown;
  readonly id?: string;
}

/** A trained part of a content: [begin, end) in UTF-16 units, and its weight where it has one of its own. */
export type TrainedSpan = readonly [number, number] | readonly [number, number, number];

/** One turn. */
export interface Message {
  readonly role: Role;
  readonly content: string;
  /** The two fields of an Alpaca row with an `input`: a template may word them its own way; others write `content`. */
  readonly instruction?: { readonly instruction: string; readonly input: string };
  readonly toolCalls?: readonly ToolCall[];
  readonly name?: string;
  /** False leaves an assistant turn untrained. */
  readonly train?: boolean;
  /** Weight of the turn's trained tokens; left out means 1. */
  readonly weight?: number;
  /** Only these parts of the content are trained; left out means all of it and the end token. */
  readonly trainedSpans?: readonly TrainedSpan[];
}

/** Turns in order, and the tools that the assistant may call. */
export interface Conversation {
  readonly messages: readonly Message[];
  readonly tools?: readonly unknown[];
}
