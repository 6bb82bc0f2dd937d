/** Converters of plugins, by name: they turn a row of any form into one of a known form. Knows no `node:` module. */
import { ConfigError, DataError } from '../errors.ts';
import type { FileRecord } from '../formats/index.ts';
import { isFields } from './fields.ts';

/** Turns what stands in a file into a row with messages, with instruction and output, or of another known form. */
export type RowConverter = (row: unknown) => unknown;

/** A registered converter. */
export interface RegisteredConverter {
  readonly name: string;
  /** Hash of the file that it came in: rows that another version made are not taken for its own. */
  readonly identity: string;
}

const registered = new Map<string, RegisteredConverter & { readonly convert: RowConverter }>();
const builtin = ['alpaca', 'sharegpt', 'openai'];

/** Adds a converter that `formatting: NAME` in dataset_info.json then finds. @throws ConfigError `plugin-name-taken` */
export function registerConverter(name: string, convert: RowConverter, identity: string): void {
  if (builtin.includes(name)) throw new ConfigError('plugin-name-taken', { kind: 'converter', name });
  registered.set(name, { name, identity, convert });
}

/** The converter of a name. */
export function findConverter(name: string): RegisteredConverter | undefined {
  const found = registered.get(name);
  return found && { name: found.name, identity: found.identity };
}

/** What `formatting` may be. */
export function formattingNames(): readonly string[] {
  return [...builtin, ...registered.keys()];
}

/** A record after its converter. @throws DataError `converter-failed` */
export function applyConverter({ name }: RegisteredConverter, file: string, record: FileRecord): FileRecord {
  if (record.fault !== undefined) return record;
  const fail = (reason: string, cause?: unknown): DataError =>
    new DataError('converter-failed', { file, line: record.line, name, reason }, { cause });
  let value: unknown;
  try {
    value = registered.get(name)!.convert(record.value);
  } catch (error) {
    throw fail(error instanceof Error ? `${error.name}: ${error.message.split('\n')[0]!}` : String(error), error);
  }
  if (value instanceof Promise) throw fail('a promise: a converter gives its row at once');
  if (!isFields(value))
    throw fail(value === undefined ? 'nothing' : (JSON.stringify(value) ?? typeof value).slice(0, 60));
  return { ...record, value };
}
