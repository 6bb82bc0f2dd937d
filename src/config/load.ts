/** A configuration from a file, from `key=value` arguments and from options of the API. All errors come together. */
import { ConfigError } from '../errors.ts';
import type { ConfigNotice, ConfigProblem } from '../messages/config.ts';
import type { MessageFields } from '../messages/index.ts';
import { type CamelCase, toCamelCase, toSnakeCase } from './camel-case.ts';
import type { Entry } from './entry.ts';
import { parseOverrides } from './overrides.ts';
import { findPlugin } from './plugin-paths.ts';
import { resolveConfig, type FettleConfig } from './resolve.ts';
import { checkRules, type RuleContext } from './rules.ts';
import { configKeys, type ConfigKey, configSchema } from './schema.ts';
import { readSettings, type Provenance } from './settings.ts';
import { readEntries } from './read-entries.ts';
import { parseEntries, type ParsedEntries } from './yaml-entries.ts';
import type { z } from 'zod';

/** A checked configuration and what is to be said about it. */
export interface LoadedConfig {
  readonly config: FettleConfig;
  /** Said once, before the command does its work. */
  readonly notices: readonly ConfigNotice[];
  /** The keys that someone wrote; all others hold defaults. */
  readonly given: readonly ConfigKey[];
  /** Where each key's value comes from. */
  readonly provenance: ReadonlyMap<ConfigKey, Provenance>;
}

/** Keys that a command cannot do without; they may depend on others. */
export type RequiredKeys = readonly ConfigKey[] | ((config: FettleConfig) => readonly ConfigKey[]);

/** What training needs. */
export function trainingNeeds(config: FettleConfig): readonly ConfigKey[] {
  return ['model_name_or_path', ...(config.do_train ? (['dataset'] as const) : []), 'output_dir'];
}

/** Where a configuration comes from. */
export interface ConfigSource {
  /** Path of a YAML or JSON file. */
  readonly file?: string | undefined;
  /** `key=value` arguments, which go before the file. */
  readonly overrides?: readonly string[];
  /** Keys that the command cannot do without. */
  readonly requires?: RequiredKeys;
  /** Name of the command, for a missing key. */
  readonly command?: string;
}

/** Problems in reading order: lines of the file, then the command line. */
function inReadingOrder(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
  const rank = (item: ConfigProblem): number => {
    const match = /:(\d+):(\d+)$/.exec(item.fields.where);
    return match === null ? Number.POSITIVE_INFINITY : Number(match[1]) * 1e6 + Number(match[2]);
  };
  return problems
    .map((item, index) => ({ item, index, rank: rank(item) }))
    .sort((a, b) => (a.rank === b.rank ? a.index - b.index : a.rank - b.rank))
    .map(({ item }) => item);
}

/** With these the file's settings are not known, so that nothing can be said about what is missing. */
const fileCodes: ReadonlySet<string> = new Set([
  'config-unreadable',
  'config-syntax',
  'config-too-large',
  'config-too-deep',
  'config-encoding',
  'config-not-a-mapping',
]);

function check(parts: readonly ParsedEntries[], source: string, requires: RequiredKeys, command: string): LoadedConfig {
  const settings = readSettings(
    parts.flatMap((part) => part.entries),
    source,
  );
  const problems: ConfigProblem[] = [...parts.flatMap((part) => part.problems), ...settings.problems];
  const unreadable = problems.some((item) => fileCodes.has(item.code));
  const context: RuleContext = {
    isSet: (key) => settings.places.has(key),
    where: (key) => settings.places.get(key)?.where ?? source,
  };
  const place = settings.places.get('plugins') ?? { origin: 'default', where: source };
  const plugins = settings.parsed.plugins.map((path) => findPlugin(path, place, source));
  problems.push(...plugins.flatMap((plugin) => ('problem' in plugin ? [plugin.problem] : [])));
  const config = {
    ...resolveConfig(settings.parsed, context.isSet),
    plugins: plugins.flatMap((plugin) => ('file' in plugin ? [plugin.file] : [])),
  };
  if (!unreadable) {
    // A wrong part of a value (`suppress.coefficient`) makes its key wrong, not missing.
    const wrong = new Set(settings.problems.map(({ fields }) => ('key' in fields ? fields.key.split('.')[0]! : '')));
    for (const key of typeof requires === 'function' ? requires(config) : requires) {
      const value = config[key];
      const missing = value === undefined || (Array.isArray(value) && value.length === 0);
      if (missing && !wrong.has(key)) {
        problems.push({ code: 'missing-key', fields: { where: context.where(key), key, command } });
      }
    }
    // A rule would speak of values that were not read.
    if (settings.problems.length === 0) problems.push(...checkRules(config, context));
  }
  if (problems.length > 0) throw new ConfigError('config-problems', { problems: inReadingOrder(problems) });
  const provenance = new Map<ConfigKey, Provenance>();
  for (const key of configKeys) {
    provenance.set(key, settings.places.get(key) ?? { origin: 'default', where: 'default' });
  }
  return { config, notices: settings.notices, given: [...settings.places.keys()], provenance };
}

/**
 * Reads and checks a configuration.
 * @throws ConfigError `config-problems` with every problem of the file and of the arguments.
 */
export function loadConfig(source: ConfigSource): LoadedConfig {
  const file = source.file === undefined ? { entries: [], problems: [] } : readEntries(source.file);
  const overrides = parseOverrides(source.overrides ?? [], file.entries);
  const requires = source.requires ?? [];
  return check([file, overrides], source.file ?? 'command line', requires, source.command ?? 'fettle');
}

/** A configuration from the text of a file, as {@link loadConfig} reads it; for the web page and for tests. */
export function parseConfig(text: string, file: string, source: Omit<ConfigSource, 'file'> = {}): LoadedConfig {
  const parsed = parseEntries(text, file);
  const overrides = parseOverrides(source.overrides ?? [], parsed.entries);
  return check([parsed, overrides], file, source.requires ?? [], source.command ?? 'fettle');
}

/** Options of the TypeScript API: the keys of a configuration in camelCase. */
export type FettleOptions = {
  [K in keyof z.input<typeof configSchema> as CamelCase<K & string>]?: z.input<typeof configSchema>[K];
};

/** camelCase name -> key, for every supported key. */
const snakeNames: ReadonlyMap<string, string> = new Map(configKeys.map((key) => [toCamelCase(key), key]));

/** A problem with the names that a user of the API knows. */
function inCamelCase(item: ConfigProblem): ConfigProblem {
  const rename = (value: unknown): unknown => {
    if (typeof value === 'string') return value.replace(/\b[a-z0-9]+(?:_[a-z0-9]+)+\b/g, toCamelCase);
    return Array.isArray(value) ? value.map(rename) : value;
  };
  const renamed = ['key', 'suggestion', 'setting', 'other', 'needs', 'remedy'];
  const fields = Object.entries(item.fields).map(([name, value]: [string, unknown]) => [
    name,
    renamed.includes(name) ? rename(value) : value,
  ]);
  return { code: item.code, fields: Object.fromEntries(fields) as never };
}

/** A configuration from options of the API, checked like a file. @throws ConfigError */
export function configFromOptions(
  options: FettleOptions,
  more: Pick<ConfigSource, 'requires' | 'command'> = {},
): LoadedConfig {
  const entries = Object.entries(options).map(([name, value]: [string, unknown]): Entry => {
    const key = snakeNames.get(name) ?? toSnakeCase(name);
    return { key, value, origin: 'options', keyWhere: 'options', where: 'options' };
  });
  try {
    return check([{ entries, problems: [] }], 'options', more.requires ?? [], more.command ?? 'fettle');
  } catch (error) {
    if (!(error instanceof ConfigError) || error.code !== 'config-problems') throw error;
    const { problems } = error.fields as MessageFields<'config-problems'>;
    throw new ConfigError('config-problems', { problems: problems.map(inCamelCase) });
  }
}
