/**
 * Reading parsed JSON of files that nobody vouches for: every access says what it expects, and a surprise is one
 * `FormatError` with file, path and what stood there.
 */
import { FormatError, UnsupportedError } from '../errors.ts';

/** Token ids stay below this: four times the largest vocabulary in use, and small enough for typed arrays. */
export const maxTokenId = 1 << 20;
/** Merges of a BPE model: the largest in use have about half a million. */
export const maxMerges = 1 << 22;
/** UTF-16 units of one vocabulary piece; real ones stay below 300. */
export const maxPieceLength = 65_536;
/** Nested `Sequence` steps; real files have at most three levels. */
export const maxNesting = 16;
/** Characters of a regular expression inside a tokenizer file; real ones stay below 2,000. */
export const maxPatternLength = 20_000;
/** Steps in one `Sequence` and tokens in one post-processing template. */
export const maxSteps = 10_000;

/** A place in a file: its name and the path of keys to the value, for messages. */
export interface Place {
  readonly file: string;
  readonly path: string;
}

/** How a wrong value is shown in a message: short, with its kind. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Throws the one kind of error that a malformed tokenizer file gives. */
export function invalid(place: Place, requirement: string, actual: string): never {
  throw new FormatError('tokenizer-invalid', { file: place.file, path: place.path, requirement, actual });
}

/** Throws for a part that is well formed but not known here. */
export function unsupported(place: Place, actual: unknown, known: readonly string[]): never {
  throw new UnsupportedError('tokenizer-unsupported', {
    file: place.file,
    path: place.path,
    actual: describeValue(actual),
    known,
  });
}

/** The place of a key or an index below another place. */
export function at(place: Place, key: string | number): Place {
  const step = typeof key === 'number' ? `[${key}]` : place.path === '' ? key : `.${key}`;
  return { file: place.file, path: place.path + step };
}

export type JsonObject = Readonly<Record<string, unknown>>;

export function asObject(value: unknown, place: Place): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    invalid(place, 'an object', describeValue(value));
  }
  return value as JsonObject;
}

export function asArray(value: unknown, place: Place, limit: number): readonly unknown[] {
  if (!Array.isArray(value)) invalid(place, 'a list', describeValue(value));
  if (value.length > limit) invalid(place, `a list of at most ${limit}`, `${value.length}`);
  return value;
}

export function asString(value: unknown, place: Place): string {
  if (typeof value !== 'string') invalid(place, 'a text', describeValue(value));
  return value;
}

export function asNumber(value: unknown, place: Place): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) invalid(place, 'a number', describeValue(value));
  return value;
}

export function asTokenId(value: unknown, place: Place): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value >= maxTokenId) {
    invalid(place, `a token id from 0 to ${maxTokenId - 1}`, describeValue(value));
  }
  return value;
}

export function optionalString(value: unknown, place: Place): string | undefined {
  return value === undefined || value === null ? undefined : asString(value, place);
}

export function optionalBoolean(value: unknown, place: Place, otherwise: boolean): boolean {
  if (value === undefined || value === null) return otherwise;
  if (typeof value !== 'boolean') invalid(place, 'true or false', describeValue(value));
  return value;
}

/** Parses the bytes of a JSON file: UTF-8, a byte order mark allowed. */
export function parseJsonBytes(bytes: Uint8Array, file: string): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    invalid({ file, path: '' }, 'UTF-8 text', 'other bytes');
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    return invalid({ file, path: '' }, 'valid JSON', error instanceof Error ? error.message : 'something else');
  }
}
