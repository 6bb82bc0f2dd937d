/** Rows that compare answers: a chosen and a rejected one, or one answer marked as wanted or not (KTO). */
import { alpacaPrompt, convertAlpaca } from './convert-alpaca.ts';
import { convertMessages, readMessage, readMessages } from './convert-messages.ts';
import type { Message } from '../template/index.ts';
import type { Columns, RowFormat, Tags } from './dataset-entry.ts';
import type { Example } from './example.ts';
import { failType, type Fields, requiredField, requireResponse } from './fields.ts';
import { fieldText, RowFailure, rowProblem } from './row.ts';
import { readTools } from './tools.ts';

/** An answer: a text, or a message of the assistant. */
function readReply(fields: Fields, column: string, tags: Tags): Message {
  const value = requiredField(fields, column);
  if (typeof value === 'string') return { role: 'assistant', content: requireResponse(value, [column]) };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return failType([column], 'reply', value);
  const message = readMessage(value, tags, [column]);
  if (message.role !== 'assistant') {
    const path = [column, tags.role_tag];
    throw new RowFailure(
      rowProblem('role-order', path, { field: fieldText(path), expected: ['assistant'], actual: message.role }),
    );
  }
  return message;
}

/** A row of a prompt with a chosen and a rejected answer. */
export function convertPair(fields: Fields, format: RowFormat, columns: Columns, tags: Tags): Example {
  const messages =
    format === 'alpaca'
      ? alpacaPrompt(fields, columns)
      : readMessages(fields, columns.messages, tags, columns.system, 'any');
  const last = messages.at(-1);
  if (last === undefined || (last.role !== 'user' && last.role !== 'tool')) {
    const field = `${columns.messages}[${Math.max(0, messages.length - 1)}]`;
    throw new RowFailure(
      rowProblem('role-order', [columns.messages], {
        field,
        expected: ['user', 'tool'],
        actual: last?.role ?? 'nobody',
      }),
    );
  }
  const tools = readTools(fields, columns.tools);
  return {
    kind: 'pair',
    prompt: tools === undefined ? { messages } : { messages, tools },
    chosen: readReply(fields, columns.chosen, tags),
    rejected: readReply(fields, columns.rejected, tags),
  };
}

/** A row whose last answer is marked by the field `columns.kto_tag`. */
export function convertTagged(
  fields: Fields,
  format: RowFormat,
  columns: Columns,
  tags: Tags,
  column: string,
): Example {
  const example = format === 'alpaca' ? convertAlpaca(fields, columns) : convertMessages(fields, columns, tags);
  const desirable = requiredField(fields, column);
  if (typeof desirable !== 'boolean') return failType([column], 'boolean', desirable);
  return example.kind === 'conversation' ? { kind: 'tagged', conversation: example.conversation, desirable } : example;
}
