/**
 * From what a person wrote to what the schema expects, without loss: `5e-5` as text, `yes` for true, `q_proj,v_proj`
 * for a list, `8GB` for bytes. What cannot be read that way is handed on as it is, for the schema to refuse.
 */
import { propertySchema, type ValueSchema } from './schema.ts';

/** A value as it was written: `source` is the scalar's own text, where there is one. */
export interface WrittenValue {
  readonly value: unknown;
  readonly source?: string | undefined;
}

const TRUE = new Set(['true', 'yes', 'on', '1']);
const FALSE = new Set(['false', 'no', 'off', '0']);
const NUMBER = /^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?$/;
const SIZE = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*$/i;
const SIZE_POWERS: Readonly<Record<string, number>> = { '': 0, k: 1, m: 2, g: 3, t: 4 };

/** Bytes of a size such as `8GB` (10^9 each), `800 MB` or `2GiB`; undefined where it is none. */
export function parseSize(written: string): number | undefined {
  const match = SIZE.exec(written);
  if (match === null) return undefined;
  const unit = (match[3] === '' ? 1000 : 1024) ** SIZE_POWERS[match[2]!.toLowerCase()]!;
  return Math.round(Number(match[1]) * unit);
}

function toNumber(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const trimmed = value.trim();
  return NUMBER.test(trimmed) ? Number(trimmed.replaceAll('_', '')) : value;
}

function toBoolean(value: unknown): unknown {
  const word = typeof value === 'string' || typeof value === 'number' ? String(value).trim().toLowerCase() : '';
  if (TRUE.has(word)) return true;
  return FALSE.has(word) ? false : value;
}

function toText({ value, source }: WrittenValue): unknown {
  if (typeof value === 'number' || typeof value === 'boolean') return source ?? String(value);
  return value;
}

function toList(written: WrittenValue, items: ValueSchema): unknown {
  const { value } = written;
  if (Array.isArray(value)) return value.map((item: unknown) => coerce({ value: item }, items));
  if (typeof value === 'object' && value !== null) return value;
  const line = toText(written);
  if (typeof line !== 'string') return value;
  // a list of mappings on the command line
  if (items.type === 'object' && line.trim().startsWith('[')) {
    try {
      const list = JSON.parse(line) as unknown;
      return Array.isArray(list) ? list.map((item: unknown) => coerce({ value: item }, items)) : value;
    } catch {
      return value;
    }
  }
  return line
    .replace(/^\[|\]$/g, '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map((item) => coerce({ value: item }, items));
}

function toMapping(value: unknown, schema: ValueSchema): unknown {
  let mapping = value;
  if (typeof value === 'string' && value.trim().startsWith('{')) {
    try {
      mapping = JSON.parse(value) as unknown;
    } catch {
      return value;
    }
  }
  if (typeof mapping !== 'object' || mapping === null || Array.isArray(mapping)) return value;
  return Object.fromEntries(
    Object.entries(mapping)
      .filter(([, inner]) => inner !== null)
      .map(([name, inner]: [string, unknown]) => {
        const property = propertySchema(schema, name);
        return [name, property === undefined ? inner : coerce({ value: inner }, property)];
      }),
  );
}

function coerceUnion(written: WrittenValue, choices: readonly ValueSchema[]): unknown {
  const { value } = written;
  if (choices.some((choice) => choice.const !== undefined && choice.const === value)) return value;
  const asBoolean = choices.some((choice) => choice.type === 'boolean') ? toBoolean(value) : value;
  if (typeof asBoolean === 'boolean') return asBoolean;
  const list = choices.find((choice) => choice.type === 'array');
  if (list?.items !== undefined) {
    const items = toList(written, list.items);
    // `all` alone, also as a list of one, is the constant and no list.
    if (Array.isArray(items) && items.length === 1 && choices.some((choice) => choice.const === items[0])) {
      return items[0];
    }
    return items;
  }
  return choices.some((choice) => choice.type === 'string') ? toText(written) : value;
}

/** Reads a written value as its schema expects it. */
export function coerce(written: WrittenValue, schema: ValueSchema): unknown {
  const { value } = written;
  if (schema.reading === 'bytes') return typeof value === 'string' ? (parseSize(value) ?? value) : value;
  if (schema.anyOf !== undefined) return coerceUnion(written, schema.anyOf);
  // A schema without a type takes whatever was written.
  if (schema.type === undefined && schema.enum === undefined && schema.const === undefined) return value;
  switch (schema.type) {
    case 'integer':
    case 'number':
      return toNumber(value);
    case 'boolean':
      return toBoolean(value);
    case 'array':
      return schema.items === undefined ? value : toList(written, schema.items);
    case 'object':
      return toMapping(value, schema);
    default: {
      const text = toText(written);
      // YAML 1.1 reads a bare `no` as false; the schema means the word.
      if (value === false && schema.enum?.includes('no') === true) return 'no';
      return typeof text === 'string' && schema.enum !== undefined ? text.trim() : text;
    }
  }
}
