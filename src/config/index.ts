export { toCamelCase, toSnakeCase, type CamelCase } from './camel-case.ts';
export { parseSize } from './coerce.ts';
export {
  configFromOptions,
  loadConfig,
  parseConfig,
  type RequiredKeys,
  trainingNeeds,
  type ConfigSource,
  type FettleOptions,
  type LoadedConfig,
} from './load.ts';
export { isOverride } from './overrides.ts';
export { configReference, type ConfigReference, type KeyReference } from './reference.ts';
export { stepsOf, type FettleConfig, type Overlong } from './resolve.ts';
export { compareForResume, contentKeys, runIdentity, type ConfigDifference } from './resume.ts';
export { configKeys, keyInfo, keysOfGroup, keyStatus, type ConfigKey } from './schema.ts';
export { shownValue, suggestKey, type Provenance } from './settings.ts';
