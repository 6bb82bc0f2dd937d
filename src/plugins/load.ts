/**
 * Plugins: JavaScript files of the user's own that add templates, converters of rows, metrics and judges by name. They run
 * with the rights of whoever started Fettle; the configuration lets only files of its own folder through.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { registerConverter, type RowConverter } from '../data/index.ts';
import { ConfigError } from '../errors.ts';
import { readError } from '../formats/index.ts';
import { readOwnTemplate, registerTemplate } from '../template/index.ts';
import { closest } from '../util/index.ts';

/** A function of a plugin; the room that uses it knows its arguments. */
export type PluginFunction = (...inputs: never[]) => unknown;

/** What a plugin may export; the same names may stand in its default export. */
const kinds = ['templates', 'converters', 'metrics', 'judges'] as const;
type Kind = (typeof kinds)[number];

/** Names are shown in tables and files. */
const namePattern = /^[\p{L}\p{N}_][\p{L}\p{N}_.-]{0,63}$/u;

const loaded = new Map<string, Promise<void>>();
const functions: Readonly<Record<'metrics' | 'judges', Map<string, PluginFunction>>> = {
  metrics: new Map(),
  judges: new Map(),
};
/** Which file gave a name. */
const owners = new Map<string, string>();

/** Functions that the plugins registered, by name. */
export function pluginsOf(kind: 'metrics' | 'judges'): ReadonlyMap<string, PluginFunction> {
  return functions[kind];
}

/**
 * Loads plugins, each once in a process.
 * @param files absolute paths, as the configuration gives them
 * @throws ConfigError `plugin-failed`, `plugin-export`, `plugin-name-twice`; FileError `file-unreadable`
 */
export async function loadPlugins(files: readonly string[]): Promise<void> {
  for (const file of files) {
    const work = loaded.get(file) ?? loadPlugin(file);
    loaded.set(file, work);
    await work;
  }
}

async function loadPlugin(file: string): Promise<void> {
  let source: Buffer;
  try {
    source = await readFile(file);
  } catch (error) {
    throw readError(error, file);
  }
  let exported: Readonly<Record<string, unknown>>;
  try {
    const module = (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>;
    const { default: whole, ...named } = module;
    exported = { ...(typeof whole === 'object' ? whole : {}), ...named };
    // A CommonJS file is its default export; Node repeats its fields as names.
    if ('module.exports' in exported) exported = withoutRepeats(exported);
  } catch (error) {
    const reason = error instanceof Error ? `${error.name}: ${error.message.split('\n')[0]!}` : String(error);
    throw new ConfigError('plugin-failed', { file, reason }, { cause: error });
  }
  const identity = createHash('sha256').update(source).digest('hex');
  for (const [name, value] of Object.entries(exported)) {
    if (!isKind(name)) {
      throw new ConfigError('plugin-export', {
        file,
        name,
        requirement: `one of ${kinds.join(', ')}`,
        suggestion: closest(name, kinds),
      });
    }
    if (typeof value !== 'object' || value === null) {
      throw new ConfigError('plugin-export', { file, name, requirement: 'an object of names' });
    }
    for (const [item, given] of Object.entries(value)) register(file, name, item, given, identity);
  }
}

function withoutRepeats(exported: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(exported).filter(([name]) => name !== 'module.exports'));
}

const isKind = (name: string): name is Kind => kinds.some((kind) => kind === name);

function register(file: string, kind: Kind, name: string, given: unknown, identity: string): void {
  const where = `${kind}.${name}`;
  if (!namePattern.test(name)) {
    throw new ConfigError('plugin-export', {
      file,
      name: where,
      requirement: 'named with letters, digits, ".", "-" and "_"',
    });
  }
  const owner = owners.get(where);
  if (owner !== undefined) throw new ConfigError('plugin-name-twice', { file, name: where, owner });
  if (kind === 'templates') {
    registerTemplate(name, readOwnTemplate(given, `${file}: ${where}`));
  } else {
    if (typeof given !== 'function') {
      throw new ConfigError('plugin-export', { file, name: where, requirement: 'a function' });
    }
    if (kind === 'converters') registerConverter(name, given as RowConverter, identity);
    else functions[kind].set(name, given as PluginFunction);
  }
  owners.set(where, file);
}
