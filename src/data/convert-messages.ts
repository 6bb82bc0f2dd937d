/** Rows that hold a list of messages: ShareGPT (from, value), OpenAI (role, content) and Firefly (human, assistant). */
import type { Message, Role, TrainedSpan } from '../template/index.ts';
import type { Columns, Tags } from './dataset-entry.ts';
import type { Example } from './example.ts';
import {
  asFields,
  failType,
  field,
  type Fields,
  isBlank,
  isFields,
  optionalText,
  type Path,
  requiredField,
  requiredText,
  requirePrompt,
  requireResponse,
} from './fields.ts';
import { fieldText, RowFailure, rowProblem } from './row.ts';
import { readCallText, readToolCalls, readTools } from './tools.ts';

/** What each role tag of a data set stands for; `function` is an assistant turn that calls tools. */
type TurnKind = Role | 'function';

function turnKinds(tags: Tags): Map<string, TurnKind> {
  // Later entries win, so that a tag named twice keeps the plain meaning.
  return new Map<string, TurnKind>([
    [tags.function_tag, 'function'],
    [tags.observation_tag, 'tool'],
    [tags.system_tag, 'system'],
    [tags.assistant_tag, 'assistant'],
    [tags.user_tag, 'user'],
  ]);
}

/** Content as text: a text, or OpenAI's list of text parts joined. */
function readContent(value: unknown, path: Path): string {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return failType(path, 'text-or-parts', value);
  const parts = value.map((part: unknown, index) => {
    const at = [...path, index];
    if (!isFields(part) || part['type'] !== 'text') return failType(at, 'text-part', part);
    return requiredText(part, 'text', at);
  });
  return parts.join('');
}

/** `train`, `weight` and `trained_spans` of a message. */
function readTraining(fields: Fields, content: string, path: Path): Pick<Message, 'train' | 'weight' | 'trainedSpans'> {
  const train = field(fields, 'train');
  const weight = field(fields, 'weight');
  const spans = field(fields, 'trained_spans');
  if (train !== undefined && typeof train !== 'boolean') failType([...path, 'train'], 'boolean', train);
  if (weight !== undefined && (typeof weight !== 'number' || weight < 0 || !Number.isFinite(weight))) {
    failType([...path, 'weight'], 'weight', weight);
  }
  const isSpan = (span: unknown): span is TrainedSpan => {
    if (!Array.isArray(span) || span.length < 2 || span.length > 3) return false;
    const [begin, end, spanWeight] = span as unknown[];
    const isOffset = (offset: unknown): offset is number => Number.isInteger(offset) && (offset as number) >= 0;
    const isWeight = spanWeight === undefined || (typeof spanWeight === 'number' && spanWeight >= 0);
    return isOffset(begin) && isOffset(end) && begin < end && end <= content.length && isWeight;
  };
  if (spans !== undefined && (!Array.isArray(spans) || !spans.every(isSpan))) {
    failType([...path, 'trained_spans'], 'spans', spans);
  }
  return {
    ...(train === undefined ? {} : { train }),
    ...(weight === undefined ? {} : { weight }),
    ...(spans === undefined ? {} : { trainedSpans: spans }),
  };
}

/** Reads one message; its role and text are checked, its place among the others is not. */
export function readMessage(value: unknown, tags: Tags, path: Path): Message {
  const fields = asFields(value, path, 'message');
  const tag = requiredText(fields, tags.role_tag, path);
  const kind = turnKinds(tags).get(tag);
  const rolePath = [...path, tags.role_tag];
  if (kind === undefined) {
    const allowed = [
      ...new Set([tags.system_tag, tags.user_tag, tags.assistant_tag, tags.observation_tag, tags.function_tag]),
    ];
    throw new RowFailure(rowProblem('unknown-role', rolePath, { field: fieldText(rolePath), allowed, actual: tag }));
  }
  const contentPath = [...path, tags.content_tag];
  const calls = field(fields, 'tool_calls');
  // OpenAI leaves the content of a turn that calls tools empty, or null.
  const mayBeEmpty = kind === 'assistant' && calls !== undefined;
  const content =
    mayBeEmpty && field(fields, tags.content_tag) === undefined
      ? ''
      : readContent(requiredField(fields, tags.content_tag, path), contentPath);
  const training = readTraining(fields, content, path);
  const name = optionalText(fields, 'name', path);
  const named = name === undefined ? {} : { name };
  if (kind === 'function') {
    requireResponse(content, contentPath);
    return { role: 'assistant', content: '', toolCalls: readCallText(content, contentPath), ...training };
  }
  if (kind === 'assistant') {
    if (calls !== undefined) {
      return { role: 'assistant', content, toolCalls: readToolCalls(calls, [...path, 'tool_calls']), ...training };
    }
    return { role: 'assistant', content: requireResponse(content, contentPath), ...named, ...training };
  }
  if (kind === 'user') requirePrompt(content, contentPath);
  return { role: kind, content, ...named };
}

/**
 * Checks the order of turns: at most one system turn, first; then user turns (or results of tools) and assistant turns
 * by turns, beginning with a user. `end` says whether an assistant turn must come last.
 */
function checkOrder(messages: readonly Message[], column: string, tags: Tags, end: 'assistant' | 'any'): void {
  const wrong = (index: number, expected: Role[], actual: Role): never => {
    const path = [column, index, tags.role_tag];
    throw new RowFailure(rowProblem('role-order', path, { field: fieldText([column, index]), expected, actual }));
  };
  let before: Role | undefined;
  for (const [index, { role }] of messages.entries()) {
    if (role === 'system') {
      if (index > 0) wrong(index, before === 'assistant' ? ['user', 'tool'] : ['assistant'], role);
      continue;
    }
    if (role === 'assistant' && before !== 'user' && before !== 'tool')
      wrong(index, before === undefined ? ['user'] : ['user', 'tool'], role);
    if (role === 'user' && before !== undefined && before !== 'assistant') wrong(index, ['assistant'], role);
    // Several results follow one turn that called several tools.
    if (role === 'tool' && before !== 'assistant' && before !== 'tool')
      wrong(index, [before === 'user' ? 'assistant' : 'user'], role);
    before = role;
  }
  if (end === 'assistant' && before !== 'assistant') wrong(messages.length - 1, ['assistant'], before!);
}

/** The messages in `column`, checked; where the row's system column has text and no message does, it comes first. */
export function readMessages(
  fields: Fields,
  column: string,
  tags: Tags,
  systemColumn: string | null,
  end: 'assistant' | 'any',
): Message[] {
  const value = requiredField(fields, column);
  if (!Array.isArray(value)) return failType([column], 'messages', value);
  const messages = value.map((message, index) => readMessage(message, tags, [column, index]));
  if (end === 'assistant' && !messages.some(({ role }) => role === 'assistant')) {
    throw new RowFailure(rowProblem('no-assistant-turn', [column], { field: column }));
  }
  checkOrder(messages, column, tags, end);
  const system = optionalText(fields, systemColumn);
  if (messages[0]?.role === 'system') return isBlank(messages[0].content) ? messages.slice(1) : messages;
  return system === undefined || isBlank(system) ? messages : [{ role: 'system', content: system }, ...messages];
}

/** A row with a list of messages, ShareGPT's or OpenAI's as `tags` say. */
export function convertMessages(fields: Fields, columns: Columns, tags: Tags): Example {
  const messages = readMessages(fields, columns.messages, tags, columns.system, 'assistant');
  const tools = readTools(fields, columns.tools);
  return { kind: 'conversation', conversation: tools === undefined ? { messages } : { messages, tools } };
}

/** Firefly's `conversation`: a list of `{human, assistant}` pairs. */
export function convertFirefly(fields: Fields, columns: Columns): Example {
  const value = requiredField(fields, 'conversation');
  if (!Array.isArray(value)) return failType(['conversation'], 'messages', value);
  if (value.length === 0) {
    throw new RowFailure(rowProblem('no-assistant-turn', ['conversation'], { field: 'conversation' }));
  }
  const system = optionalText(fields, columns.system);
  const messages: Message[] = system === undefined || isBlank(system) ? [] : [{ role: 'system', content: system }];
  for (const [index, turn] of value.entries()) {
    const path = ['conversation', index];
    const pair = asFields(turn, path);
    messages.push({ role: 'user', content: requirePrompt(requiredText(pair, 'human', path), [...path, 'human']) });
    const answer = requireResponse(requiredText(pair, 'assistant', path), [...path, 'assistant']);
    messages.push({ role: 'assistant', content: answer });
  }
  return { kind: 'conversation', conversation: { messages } };
}
