/** Reads the fields of a row with the checks that every converter needs. Knows no `node:` module. */
import type { ValueKind } from '../messages/data.ts';
import { fieldText, RowFailure, rowProblem } from './row.ts';

/** Path of a value inside its row. */
export type Path = readonly (string | number)[];
/** A JSON object of a row. */
export type Fields = Readonly<Record<string, unknown>>;

/** What a value is, as messages name it. */
export function kindOf(value: unknown): ValueKind {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 0 ? 'empty-list' : 'list';
  switch (typeof value) {
    case 'string':
      return 'text';
    case 'boolean':
      return 'boolean';
    case 'number':
    case 'bigint':
      return 'number';
    default:
      return 'object';
  }
}

/** @throws RowFailure wrong-type. */
export function failType(path: Path, expected: ValueKind, value: unknown): never {
  throw new RowFailure(rowProblem('wrong-type', path, { field: fieldText(path), expected, actual: kindOf(value) }));
}

/** Whether a value is an object (no list, not null). */
export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as an object. */
export function asFields(value: unknown, path: Path, expected: ValueKind = 'object'): Fields {
  return isFields(value) ? value : failType(path, expected, value);
}

/** A field of its own, never one that JavaScript objects inherit; null counts as left out. */
export function field(fields: Fields, name: string | null): unknown {
  if (name === null || !Object.hasOwn(fields, name)) return undefined;
  return fields[name] ?? undefined;
}

/** A field that must be there. Null is there, but of a wrong type. */
export function requiredField(fields: Fields, name: string, path: Path = []): unknown {
  if (!Object.hasOwn(fields, name) || fields[name] === undefined) {
    const found = path.length === 0 ? Object.keys(fields) : Object.keys(fields).map((key) => fieldText([...path, key]));
    throw new RowFailure(rowProblem('missing-field', [...path, name], { field: fieldText([...path, name]), found }));
  }
  return fields[name];
}

/** A text that must be there. */
export function requiredText(fields: Fields, name: string, path: Path = []): string {
  const value = requiredField(fields, name, path);
  return typeof value === 'string' ? value : failType([...path, name], 'text', value);
}

/** A text that may be left out. */
export function optionalText(fields: Fields, name: string | null, path: Path = []): string | undefined {
  const value = field(fields, name);
  if (value === undefined) return undefined;
  return typeof value === 'string' ? value : failType([...path, name!], 'text', value);
}

/** Whether a text holds nothing but white space. */
export function isBlank(text: string): boolean {
  return text.trim() === '';
}

/** Text of the prompt that must not be blank. @throws RowFailure empty-prompt. */
export function requirePrompt(text: string, path: Path): string {
  if (isBlank(text)) throw new RowFailure(rowProblem('empty-prompt', path, { field: fieldText(path) }));
  return text;
}

/** Text of an answer that must not be blank. @throws RowFailure empty-response. */
export function requireResponse(text: string, path: Path): string {
  if (isBlank(text)) throw new RowFailure(rowProblem('empty-response', path, { field: fieldText(path) }));
  return text;
}
