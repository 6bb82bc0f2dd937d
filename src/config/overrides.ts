/** `key=value` arguments of the command line -> settings. Dots reach into a mapping: `lr_scheduler_kwargs.power=2`. */
import { isScalar, parseDocument } from 'yaml';
import type { ConfigProblem } from '../messages/config.ts';
import { closest } from '../util/index.ts';
import type { Entry } from './entry.ts';
import { isConfigKey, knownNames, propertySchema, valueSchema, type ValueSchema } from './schema.ts';
import { MAX_ALIASES, type ParsedEntries } from './yaml-entries.ts';

/** Longest part of an argument that is repeated in an error. */
const MAX_SHOWN = 120;

const OVERRIDE = /^([A-Za-z_][\w-]*)((?:\.[\w-]+)*)=([\s\S]*)$/;

/** Whether an argument has the form `key=value`. */
export function isOverride(argument: string): boolean {
  return OVERRIDE.test(argument);
}

/** Whether a key's value is a text or a list, so that `a: b` or `#` in it is no YAML. */
function readsAsText(schema: ValueSchema | undefined): boolean {
  if (schema === undefined) return true;
  if (schema.anyOf !== undefined) return schema.anyOf.some(readsAsText);
  return schema.type === 'string' || schema.type === 'array';
}

/** The value of an argument: a YAML scalar or flow collection, except that a text may hold any character. */
function parseValue(raw: string, schema: ValueSchema | undefined): { value: unknown; source?: string | undefined } {
  const document = parseDocument(raw, { uniqueKeys: true });
  const root = document.contents;
  const broken = document.errors.length > 0 || document.warnings.length > 0;
  const quotedOrFlow = /^\s*["'[{]/.test(raw);
  if (broken || (readsAsText(schema) && !quotedOrFlow)) {
    const word = raw.trim();
    if (word === '' || word === 'null' || word === '~') return { value: null };
    if (!broken && isScalar(root) && root.source === word) return { value: root.value, source: root.source };
    return { value: raw, source: raw };
  }
  if (isScalar(root)) return { value: root.value, source: root.source };
  return { value: document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown };
}

function withPath(value: unknown, path: readonly string[], inner: unknown): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return inner;
  const mapping = typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
  const before = Object.hasOwn(mapping, name) ? (mapping as Record<string, unknown>)[name] : undefined;
  return { ...mapping, [name]: withPath(before, rest, inner) };
}

/** Reads the arguments over the settings of a file; a later argument replaces an earlier one. */
export function parseOverrides(args: readonly string[], fileEntries: readonly Entry[]): ParsedEntries {
  const entries = new Map<string, Entry>();
  const problems: ConfigProblem[] = [];
  for (const argument of args) {
    const shown = argument.length > MAX_SHOWN ? `${argument.slice(0, MAX_SHOWN)}...` : argument;
    const match = OVERRIDE.exec(argument);
    if (match === null) {
      const suggestion = /^[\w-]+$/.test(argument) ? closest(argument, knownNames()) : undefined;
      problems.push({
        code: 'not-a-setting',
        fields: {
          where: 'command line',
          argument: shown,
          suggestion: suggestion === undefined ? undefined : `${suggestion}=...`,
        },
      });
      continue;
    }
    const key = match[1]!;
    const path = match[2]!.split('.').slice(1);
    const where = `command line: ${shown}`;
    const schema = isConfigKey(key) ? valueSchema(key) : undefined;
    const inner = path.reduce<ValueSchema | undefined>((at, name) => propertySchema(at, name), schema);
    const parsed = parseValue(match[3]!, path.length === 0 ? schema : inner);
    const before = entries.get(key) ?? fileEntries.find((entry) => entry.key === key);
    const value = path.length === 0 ? parsed.value : withPath(before?.value, path, parsed.value);
    entries.set(key, { key, value, source: parsed.source, origin: 'command-line', keyWhere: where, where });
  }
  return { entries: [...entries.values()], problems };
}
