/** The one internal form of a conversation. Knows no `node:` module. */

export type Role = 'system' | 'user' | 'assistant' | 'tool';

/** A call of a tool that an assistant turn makes. */
export interface ToolCall {
  readonly id?: string;
  readonly name: string;
  /** The arguments as data, or the text as it stood where it is no JSON object. */
  readonly arguments: unknown;
}

/** One turn. */
export interface Message {
  readonly role: Role;
  readonly content: string;
  /** The `input` of an Alpaca row: `content` is `instruction`, a newline and it; a template may word the two its own way. */
  readonly instruction?: { readonly instruction: string; readonly input: string };
  readonly toolCalls?: readonly ToolCall[];
  readonly name?: string;
  /** False leaves an assistant turn untrained. */
  readonly train?: boolean;
  /** Weight of the turn's trained tokens; left out means 1. */
  readonly weight?: number;
  /** [begin, end) offsets in UTF-16 units of `content`: only these parts are trained. */
  readonly trainedSpans?: readonly (readonly [number, number])[];
}

/** Turns in order, and the tools that the assistant may call. */
export interface Conversation {
  readonly messages: readonly Message[];
  readonly tools?: readonly unknown[];
}
