/** A row encoder for tests that anyone can check by eye: one token a character, one for each header, one for each end. */
import type { Conversation } from '../template/index.ts';
import type { EncodedRow, RowEncoder } from './row-encoder.ts';

/** Ids of the headers and of the end token. */
export const headerIds = { system: 1, user: 2, assistant: 3, tool: 4 } as const;
export const endId = 5;

function encode(conversation: Conversation): EncodedRow {
  const ids: number[] = [];
  const labels: number[] = [];
  const weights: number[] = [];
  const push = (id: number, trained: boolean, weight = 1): void => {
    ids.push(id);
    labels.push(trained ? id : -100);
    weights.push(trained ? weight : 0);
  };
  for (const { role, content, train, weight, toolCalls } of conversation.messages) {
    const trained = role === 'assistant' && train !== false;
    push(headerIds[role], false);
    for (const character of toolCalls ? JSON.stringify(toolCalls) : content)
      push(character.codePointAt(0)!, trained, weight);
    push(endId, trained, weight);
  }
  const row = { inputIds: Int32Array.from(ids), labels: Int32Array.from(labels) };
  return conversation.messages.some(({ weight }) => weight !== undefined)
    ? { ...row, weights: Float32Array.from(weights) }
    : row;
}

export const characterEncoder: RowEncoder = {
  encodeConversation: (conversation) => [encode(conversation)],
  encodeText: (text) => {
    const ids = Int32Array.from([...Array.from(text, (character) => character.codePointAt(0)!), endId]);
    return { inputIds: ids, labels: ids.slice() };
  },
  countTokens: (text) => Array.from(text).length,
  takeTokens: (text, count) => Array.from(text).slice(0, count).join(''),
};

/** Ids as text: headers as ‹s› ‹u› ‹a› ‹t›, the end token as ¶. */
export function shown(ids: ArrayLike<number>): string {
  const names = ['', '‹s›', '‹u›', '‹a›', '‹t›', '¶'];
  return Array.from(ids, (id) => (id === -100 ? '·' : (names[id] ?? String.fromCodePoint(id)))).join('');
}
