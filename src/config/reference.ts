/** Every key as data, for the reference page, the form of the web page and completions. */
import { requirementText } from '../messages/config.ts';
import { ignoredKeyGroups } from './ignored-keys.ts';
import type { KeyGroup } from './key.ts';
import { refusedKeys } from './refused-keys.ts';
import { configKeys, keyInfo, valueSchema, type ConfigKey, type ValueSchema } from './schema.ts';
import { translatedKeys } from './translated-keys.ts';

/** One supported key. */
export interface KeyReference {
  readonly key: ConfigKey;
  readonly group: KeyGroup;
  readonly help: string;
  /** What a value must be, in words. */
  readonly requirement: string;
  readonly default: string;
  readonly schema: ValueSchema;
  readonly refusedValues: readonly string[];
}

/** Everything that is known of keys. */
export interface ConfigReference {
  readonly supported: readonly KeyReference[];
  readonly translated: readonly { readonly key: string; readonly to: string }[];
  readonly refused: readonly { readonly key: string; readonly remedy: string }[];
  readonly ignored: readonly { readonly reason: string; readonly keys: readonly string[] }[];
}

function defaultOf(schema: ValueSchema, text: string | undefined): string {
  if (text !== undefined) return text;
  const value = schema.default;
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return 'not set';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

/** The reference of all keys. */
export function configReference(): ConfigReference {
  return {
    supported: configKeys.map((key) => {
      const info = keyInfo(key);
      const schema = valueSchema(key);
      return {
        key,
        group: info.group,
        help: info.help,
        requirement: requirementText(schema),
        default: defaultOf(schema, info.defaultText),
        schema,
        refusedValues: Object.keys(info.refusedValues ?? {}),
      };
    }),
    translated: Object.entries(translatedKeys).map(([key, { to }]) => ({ key, to })),
    refused: Object.entries(refusedKeys).map(([key, { remedy }]) => ({ key, remedy })),
    ignored: ignoredKeyGroups,
  };
}
