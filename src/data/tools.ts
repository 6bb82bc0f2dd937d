/** Tools of a row, and calls of them. Knows no `node:` module. */
import type { ToolCall } from '../template/index.ts';
import { failType, field, type Fields, isFields, type Path } from './fields.ts';

/** JSON text as data, or undefined where it is none. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** The tools of a row: a list, or its JSON text; undefined where the row has none. */
export function readTools(fields: Fields, column: string | null): readonly unknown[] | undefined {
  const value = field(fields, column);
  if (value === undefined || value === '') return undefined;
  const tools = typeof value === 'string' ? parsed(value) : value;
  if (!Array.isArray(tools) || !tools.every(isFields)) return failType([column!], 'tool-list', value);
  return tools.length === 0 ? undefined : tools;
}

function readCall(value: unknown, path: Path): ToolCall {
  if (!isFields(value)) return failType(path, 'tool-call', value);
  // OpenAI wraps name and arguments into `function`.
  const inner = isFields(value['function']) ? value['function'] : value;
  const { name, arguments: given } = inner;
  if (typeof name !== 'string' || given === undefined) return failType(path, 'tool-call', value);
  const data = typeof given === 'string' ? (parsed(given) ?? given) : given;
  const id = value['id'];
  return typeof id === 'string' ? { id, name, arguments: data } : { name, arguments: data };
}

/** A list of calls as OpenAI's messages have it. */
export function readToolCalls(value: unknown, path: Path): ToolCall[] {
  if (!Array.isArray(value) || value.length === 0) return failType(path, 'tool-calls', value);
  return value.map((call, index) => readCall(call, [...path, index]));
}

/** The JSON text of one call or of a list of calls, as ShareGPT's `function_call` turns have it. */
export function readCallText(text: string, path: Path): ToolCall[] {
  const value = parsed(text);
  if (value === undefined) return failType(path, 'tool-call', text);
  return (Array.isArray(value) ? value : [value]).map((call) => readCall(call, path));
}
