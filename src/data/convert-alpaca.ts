/** Alpaca rows (instruction, input, output, system, history), prompt and completion rows, and plain text rows. */
import type { Message } from '../template/index.ts';
import type { Columns } from './dataset-entry.ts';
import type { Example } from './example.ts';
import {
  field,
  type Fields,
  isBlank,
  kindOf,
  optionalText,
  requiredText,
  requirePrompt,
  requireResponse,
} from './fields.ts';
import { fieldText, RowFailure, rowProblem } from './row.ts';
import { readTools } from './tools.ts';

function readHistory(fields: Fields, column: string | null): Message[] {
  const history = field(fields, column);
  if (history === undefined) return [];
  if (!Array.isArray(history)) {
    throw new RowFailure(rowProblem('bad-history', [column!], { field: column!, actual: kindOf(history) }));
  }
  const messages: Message[] = [];
  for (const [index, pair] of history.entries()) {
    const path = [column!, index];
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== 'string' || typeof pair[1] !== 'string') {
      const wrong = Array.isArray(pair) && pair.length === 2 ? pair.findIndex((part) => typeof part !== 'string') : -1;
      const at = wrong < 0 ? path : [...path, wrong];
      const value: unknown = wrong < 0 ? pair : (pair as unknown[])[wrong];
      const length = Array.isArray(value) ? value.length : undefined;
      throw new RowFailure(rowProblem('bad-history', at, { field: fieldText(path), actual: kindOf(value), length }));
    }
    messages.push({ role: 'user', content: requirePrompt(pair[0], [...path, 0]) });
    messages.push({ role: 'assistant', content: requireResponse(pair[1], [...path, 1]) });
  }
  return messages;
}

function systemMessage(fields: Fields, columns: Columns): Message[] {
  const system = optionalText(fields, columns.system);
  return system === undefined || system === '' ? [] : [{ role: 'system', content: system }];
}

/** The user turn of an Alpaca row: instruction, newline, input (rule 16); the parts stay at hand for templates with wordings of their own. */
function userMessage(fields: Fields, columns: Columns): Message {
  const instruction = requiredText(fields, columns.prompt);
  const input = optionalText(fields, columns.query) ?? '';
  const content = [instruction, input].filter((part) => part !== '').join('\n');
  requirePrompt(content, [columns.prompt]);
  return isBlank(input) ? { role: 'user', content } : { role: 'user', content, instruction: { instruction, input } };
}

/** The turns of an Alpaca row before its last answer. */
export function alpacaPrompt(fields: Fields, columns: Columns): Message[] {
  return [...systemMessage(fields, columns), ...readHistory(fields, columns.history), userMessage(fields, columns)];
}

/** An Alpaca row. */
export function convertAlpaca(fields: Fields, columns: Columns): Example {
  const prompt = alpacaPrompt(fields, columns);
  const answer = requireResponse(requiredText(fields, columns.response), [columns.response]);
  const tools = readTools(fields, columns.tools);
  const messages: Message[] = [...prompt, { role: 'assistant', content: answer }];
  return { kind: 'conversation', conversation: tools === undefined ? { messages } : { messages, tools } };
}

/** A row of `prompt` and `completion`: one user turn and its answer. */
export function convertPromptCompletion(fields: Fields): Example {
  const prompt = requirePrompt(requiredText(fields, 'prompt'), ['prompt']);
  const answer = requireResponse(requiredText(fields, 'completion'), ['completion']);
  const messages: Message[] = [
    { role: 'user', content: prompt },
    { role: 'assistant', content: answer },
  ];
  return { kind: 'conversation', conversation: { messages } };
}

/** A row of one text, in `text` or the column that `columns.prompt` names. */
export function convertText(fields: Fields, column: string): Example {
  return { kind: 'text', text: requireResponse(requiredText(fields, column), [column]) };
}
