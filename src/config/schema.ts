/** The one schema of a configuration: all supported keys, and what is known of every other key. */
import { z } from 'zod';
import type { ValueRequirement } from '../messages/config.ts';
import { ignoredKeys } from './ignored-keys.ts';
import { type KeyGroup, keyRegistry, type KeyInfo } from './key.ts';
import { comparisonKeys } from './keys/comparison.ts';
import { dataKeys } from './keys/data.ts';
import { evaluationKeys } from './keys/evaluation.ts';
import { exportKeys } from './keys/export.ts';
import { generationKeys } from './keys/generation.ts';
import { machineKeys } from './keys/machine.ts';
import { methodKeys } from './keys/method.ts';
import { modelKeys } from './keys/model.ts';
import { outputKeys } from './keys/output.ts';
import { precisionKeys } from './keys/precision.ts';
import { servingKeys } from './keys/serving.ts';
import { testKeys } from './keys/tests.ts';
import { trainingKeys } from './keys/training.ts';
import { refusedKeys } from './refused-keys.ts';
import { samplingStrategies, translatedKeys } from './translated-keys.ts';

/** Every supported key, in the order of the reference page. */
export const configSchema = z.strictObject({
  ...modelKeys,
  ...methodKeys,
  ...dataKeys,
  ...trainingKeys,
  ...evaluationKeys,
  ...outputKeys,
  ...generationKeys,
  ...testKeys,
  ...exportKeys,
  ...comparisonKeys,
  ...servingKeys,
  ...machineKeys,
  ...precisionKeys,
});

/** A configuration as its schema reads it, before the defaults that depend on other keys. */
export type ParsedConfig = z.output<typeof configSchema>;
/** The supported keys by name. */
export type ConfigKey = keyof ParsedConfig;

/** Name of transformers' key that stands for group_by_length and disable_shuffling. */
export const samplingKey = 'train_sampling_strategy';

/** Every supported key in order. */
export const configKeys = Object.keys(configSchema.shape) as readonly ConfigKey[];

/** Whether this is the name of a supported key. */
export function isConfigKey(name: string): name is ConfigKey {
  return Object.hasOwn(configSchema.shape, name);
}

/** The keys of a chapter of the reference, in its order. */
export function keysOfGroup(group: KeyGroup): readonly ConfigKey[] {
  return configKeys.filter((key) => keyInfo(key).group === group);
}

/** The record of a supported key. */
export function keyInfo(key: ConfigKey): KeyInfo {
  const info = keyRegistry.get(configSchema.shape[key]);
  if (info === undefined) throw new TypeError(`config key ${key} has no record`);
  return info;
}

/** What happens to a key of this name. */
export type KeyStatus = 'supported' | 'translated' | 'ignored' | 'refused' | 'unknown';

/** Looks a name up in the tables; every name stands in one of them at most. */
export function keyStatus(name: string): KeyStatus {
  if (isConfigKey(name)) return 'supported';
  if (name === samplingKey || Object.hasOwn(translatedKeys, name)) return 'translated';
  if (Object.hasOwn(refusedKeys, name)) return 'refused';
  return ignoredKeys.has(name) ? 'ignored' : 'unknown';
}

/** Every name that is known in any way. */
export function knownNames(): readonly string[] {
  return [
    ...configKeys,
    ...Object.keys(translatedKeys),
    samplingKey,
    ...Object.keys(refusedKeys),
    ...ignoredKeys.keys(),
  ];
}

/** The JSON schema of one key's value, from its zod schema. */
export interface ValueSchema extends ValueRequirement {
  readonly default?: unknown;
}

/** The schema of one key of a mapping, or of every name in a mapping of names; undefined where there is none. */
export function propertySchema(schema: ValueRequirement | undefined, name: string): ValueSchema | undefined {
  const { properties, additionalProperties: others } = schema ?? {};
  if (properties !== undefined && Object.hasOwn(properties, name)) return properties[name];
  return typeof others === 'object' ? others : undefined;
}

const valueSchemas = new Map<ConfigKey, ValueSchema>();

/** The JSON schema of a supported key's value. */
export function valueSchema(key: ConfigKey): ValueSchema {
  let schema = valueSchemas.get(key);
  if (schema === undefined) {
    const { reading } = keyInfo(key);
    schema = {
      ...(z.toJSONSchema(configSchema.shape[key], { io: 'output' }) as ValueSchema),
      ...(reading === undefined ? {} : { reading }),
    };
    valueSchemas.set(key, schema);
  }
  return schema;
}

/** The values of `train_sampling_strategy`. */
export const samplingChoices = Object.keys(samplingStrategies);
