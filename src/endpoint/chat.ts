/** One question to a chat server and its answer, independent of who serves it; and the key that names a question. */
import { createHash } from 'node:crypto';
import type { JsonValue } from '../formats/index.ts';

/** One message of a conversation. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** What is asked. Fields that are left out are not sent. */
export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  /** Longest answer, in tokens. Always sent: providers' own defaults cut answers off. */
  readonly maxTokens: number;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly seed?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  /** Which of several answers to the same question this is; part of the key, never sent. */
  readonly sample?: number | undefined;
  /** Further fields of the body, as the provider documents them. */
  readonly extra?: Readonly<Record<string, JsonValue>> | undefined;
}

/** Tokens of one answer as the server counted them; null where it did not say. */
export interface TokenUsage {
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
}

/** What came back. */
export interface ChatAnswer {
  readonly text: string;
  /** `stop`, `length`, or what the server calls it; null where it did not say. */
  readonly finishReason: string | null;
  readonly usage: TokenUsage;
  /** Thoughts that the server keeps apart from the answer. */
  readonly reasoning?: string | undefined;
}

/** JSON with the keys of every object in order and nothing undefined: equal values give equal texts. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item: unknown) => canonicalJson(item ?? null)).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, field]: [string, unknown]) => `${JSON.stringify(name)}:${canonicalJson(field)}`);
  return `{${fields.join(',')}}`;
}

/**
 * SHA-256, hex, of what is asked of whom. The host is no part of it, so that a server may move; `scope` tells two servers
 * apart that call their models the same.
 */
export function requestKey(scope: string, request: object): string {
  return createHash('sha256').update(canonicalJson({ scope, request })).digest('hex');
}

/** SHA-256, hex, of the messages alone: what was asked, whoever was asked it. */
export function messagesKey(messages: readonly ChatMessage[]): string {
  const plain = messages.map(({ role, content }) => ({ role, content }));
  return createHash('sha256').update(canonicalJson(plain)).digest('hex');
}
