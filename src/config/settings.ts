/** Written settings -> values by key: other names translated, unsupported ones refused, each value checked by its schema. */
import { basename } from 'node:path';
import type { z } from 'zod';
import type { ConfigNotice, ConfigProblem } from '../messages/config.ts';
import { closest } from '../util/index.ts';
import { coerce } from './coerce.ts';
import type { Entry, SettingOrigin } from './entry.ts';
import { precisionKeys } from './keys/precision.ts';
import { readEntries } from './read-entries.ts';
import { refusedKeys } from './refused-keys.ts';
import {
  configKeys,
  configSchema,
  isConfigKey,
  keyInfo,
  keyStatus,
  knownNames,
  propertySchema,
  samplingChoices,
  samplingKey,
  valueSchema,
  type ConfigKey,
  type ParsedConfig,
  type ValueSchema,
} from './schema.ts';
import { foreignNames, samplingStrategies, translatedKeys } from './translated-keys.ts';

/** Where the value of a key comes from; `where` is the place to name. */
export interface Provenance {
  readonly origin: SettingOrigin | 'default';
  readonly where: string;
}

/** All settings of one configuration, checked one by one. */
export interface Settings {
  readonly parsed: ParsedConfig;
  /** The keys that were set, with their places. */
  readonly places: ReadonlyMap<ConfigKey, Provenance>;
  readonly notices: readonly ConfigNotice[];
  readonly problems: readonly ConfigProblem[];
}

/** Longest value that is repeated in an error. */
const MAX_SHOWN = 80;

/** A value as an error shows it. */
export function shownValue(value: unknown): string {
  const shown = value === undefined ? 'nothing' : JSON.stringify(value);
  return shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)}...` : shown;
}

/** The name to suggest for an unknown one. */
export function suggestKey(name: string): string | undefined {
  const lower = name.toLowerCase().replaceAll('-', '_');
  if (Object.hasOwn(foreignNames, lower)) return foreignNames[lower];
  return closest(name, configKeys) ?? closest(name, knownNames());
}

function isNeutral(key: string, value: unknown): boolean {
  const { neutral } = refusedKeys[key]!;
  if (Array.isArray(value)) return value.length === 0;
  const written = typeof value === 'string' ? value.toLowerCase() : value;
  if (written === 'none' || written === '') return true;
  return neutral.some((accepted) => accepted === written || String(accepted) === written);
}

/** Other names become the supported ones; undefined where the value changes nothing. */
function translate(entry: Entry, problems: ConfigProblem[]): readonly Entry[] {
  if (entry.key === samplingKey) {
    const chosen = samplingStrategies[String(entry.value)];
    if (chosen === undefined) {
      problems.push({
        code: 'wrong-value',
        fields: {
          where: entry.where,
          key: entry.key,
          expected: { enum: samplingChoices },
          actual: shownValue(entry.value),
        },
      });
      return [];
    }
    return Object.entries(chosen).map(([key, value]) => ({ ...entry, key, value, source: undefined }));
  }
  const { to, convert } = translatedKeys[entry.key]!;
  if (convert === undefined) return [{ ...entry, key: to }];
  const value = convert(entry.value);
  return value === undefined ? [] : [{ ...entry, key: to, value, source: undefined }];
}

/** The first refused value in a text or list, with its remedy. */
function refusedValue(key: ConfigKey, value: unknown): { value: string; remedy: string } | undefined {
  const { refusedValues } = keyInfo(key);
  if (refusedValues === undefined) return undefined;
  for (const item of Array.isArray(value) ? (value as unknown[]) : [value]) {
    if (typeof item === 'string' && Object.hasOwn(refusedValues, item)) {
      return { value: item, remedy: refusedValues[item]! };
    }
  }
  return undefined;
}

function problemOfIssue(entry: Entry, key: ConfigKey, value: unknown, issue: z.core.$ZodIssue): ConfigProblem {
  const name = [key, ...issue.path.filter((part) => typeof part === 'string')].join('.');
  if (issue.code === 'unrecognized_keys') {
    const unknown = issue.keys[0]!;
    const mapping = issue.path.reduce<ValueSchema | undefined>(
      (at, part) => propertySchema(at, String(part)),
      valueSchema(key),
    );
    const suggestion = closest(unknown, Object.keys(mapping?.properties ?? {}));
    return {
      code: 'unknown-key',
      fields: { where: entry.where, key: `${name}.${unknown}`, suggestion: suggestion && `${name}.${suggestion}` },
    };
  }
  const schema = valueSchema(key);
  const inner = issue.path.reduce<typeof schema | undefined>(
    (at, part) => (typeof part === 'number' ? at?.items : propertySchema(at, String(part))),
    schema,
  );
  const nested = issue.path.some((part) => typeof part === 'string');
  const actual = issue.path.reduce<unknown>(
    (at, part) => (typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[part] : undefined),
    value,
  );
  const expected = nested && inner !== undefined ? inner : schema;
  const choices = inner?.enum?.map(String) ?? [];
  return {
    code: 'wrong-value',
    fields: {
      where: entry.where,
      key: name,
      expected: issue.code === 'custom' ? { ...expected, rule: issue.message } : expected,
      actual: shownValue(actual ?? value),
      suggestion: typeof actual === 'string' ? closest(actual, choices) : undefined,
    },
  };
}

/** Keys without effect, each once, under the place that wrote it. */
class IgnoredKeys {
  readonly places = new Map<string, string[]>();
  readonly #source: string;

  constructor(source: string) {
    this.#source = source;
  }

  add(key: string, { origin }: Entry): void {
    if ([...this.places.values()].some((keys) => keys.includes(key))) return;
    const where = origin === 'command-line' ? 'command line' : this.#source;
    this.places.set(where, [...(this.places.get(where) ?? []), key]);
  }

  list(): readonly { readonly where: string; readonly keys: readonly string[] }[] {
    return [...this.places].map(([where, keys]) => ({ where, keys }));
  }
}

/** Takes values without effect out of a list and notes them. */
function withoutIgnored(entry: Entry, key: ConfigKey, value: unknown, ignored: IgnoredKeys): unknown {
  const { ignoredValues } = keyInfo(key);
  if (ignoredValues === undefined || !Array.isArray(value)) return value;
  return value.filter((item: unknown) => {
    if (typeof item !== 'string' || !ignoredValues.includes(item)) return true;
    ignored.add(`${key}: ${item}`, entry);
    return false;
  });
}

/** Reads the settings; the entries of the command line stand after those of the file. */
export function readSettings(entries: readonly Entry[], source: string): Settings {
  const problems: ConfigProblem[] = [];
  const ignored = new IgnoredKeys(source);
  const chosen = new Map<ConfigKey, { entry: Entry; written: string }>();

  for (const entry of entries) {
    const status = keyStatus(entry.key);
    if (status === 'unknown') {
      const suggestion = suggestKey(entry.key);
      problems.push({ code: 'unknown-key', fields: { where: entry.keyWhere, key: entry.key, suggestion } });
      continue;
    }
    if (status === 'ignored') {
      ignored.add(entry.key, entry);
      continue;
    }
    // A null leaves the key unset; on the command line it takes the file's value back.
    if (entry.value === null || entry.value === undefined) {
      if (isConfigKey(entry.key)) chosen.delete(entry.key);
      continue;
    }
    if (status === 'refused') {
      if (!isNeutral(entry.key, entry.value)) {
        problems.push({
          code: 'refused-setting',
          fields: {
            where: entry.where,
            key: entry.key,
            actual: shownValue(entry.value),
            remedy: refusedKeys[entry.key]!.remedy,
          },
        });
      }
      continue;
    }
    for (const setting of status === 'translated' ? translate(entry, problems) : [entry]) {
      if (!isConfigKey(setting.key)) continue;
      const before = chosen.get(setting.key);
      if (before !== undefined && before.entry.origin === entry.origin && before.written !== entry.key) {
        problems.push({
          code: 'settings-exclude',
          fields: { where: entry.keyWhere, setting: entry.key, other: before.written },
        });
      }
      chosen.set(setting.key, { entry: setting, written: entry.key });
    }
  }

  const values: Record<string, unknown> = {};
  const places = new Map<ConfigKey, Provenance>();
  for (const key of configKeys) {
    const entry = chosen.get(key)?.entry;
    const value = entry === undefined ? undefined : readValue(entry, key, problems, ignored);
    const result = configSchema.shape[key].safeParse(value);
    if (result.success) {
      if (result.data !== undefined) values[key] = result.data;
    } else if (entry !== undefined) {
      problems.push(problemOfIssue(entry, key, value, result.error.issues[0]!));
    }
    // A wrong value counts as set, so that the rules say no second thing about it.
    if (entry !== undefined) places.set(key, { origin: entry.origin, where: entry.where });
    if (!Object.hasOwn(values, key)) {
      const fallback = configSchema.shape[key].safeParse(undefined);
      if (fallback.success && fallback.data !== undefined) values[key] = fallback.data;
    }
  }
  const parsed = values as ParsedConfig;

  const notices: ConfigNotice[] = [];
  if (ignored.places.size > 0) notices.push({ code: 'ignored-keys', fields: { places: ignored.list() } });
  const lowered: string[] = (Object.keys(precisionKeys) as (keyof typeof precisionKeys)[]).filter((key) => parsed[key]);
  // an export stores them
  const isHalf = parsed.infer_dtype === 'float16' || parsed.infer_dtype === 'bfloat16';
  if (isHalf && parsed.export_dir === undefined) lowered.push('infer_dtype');
  if (lowered.length > 0) notices.push({ code: 'computed-in-f32', fields: { keys: lowered } });
  return { parsed, places, notices, problems };
}

/** A value that stands in a file of its own, by its keys; its name is the file's. */
function readMappingFile(entry: Entry, key: ConfigKey, file: string, problems: ConfigProblem[]): unknown {
  const { entries, problems: found } = readEntries(file);
  for (const problem of found) {
    problems.push(
      problem.code === 'config-unreadable'
        ? { code: 'value-file', fields: { where: entry.where, key, file, reason: problem.fields.reason } }
        : problem,
    );
  }
  if (found.length > 0) return undefined;
  const name = basename(file).replace(mappingFilePattern, '');
  return { name, ...Object.fromEntries(entries.map(({ key: inner, value }) => [inner, value])) };
}

/** Names of files that hold a mapping. */
const mappingFilePattern = /\.(ya?ml|json)$/i;

function readValue(entry: Entry, key: ConfigKey, problems: ConfigProblem[], ignored: IgnoredKeys): unknown {
  const value = withoutIgnored(entry, key, coerce(entry, valueSchema(key)), ignored);
  const refused = refusedValue(key, value);
  if (refused !== undefined) {
    problems.push({
      code: 'refused-setting',
      fields: { where: entry.where, key, actual: shownValue(refused.value), remedy: refused.remedy },
    });
    return undefined;
  }
  const { aliases, mappingFile } = keyInfo(key);
  if (mappingFile && typeof value === 'string' && mappingFilePattern.test(value)) {
    return readMappingFile(entry, key, value, problems);
  }
  return typeof value === 'string' && aliases !== undefined && Object.hasOwn(aliases, value) ? aliases[value] : value;
}
