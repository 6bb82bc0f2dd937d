import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ignoredKeys } from './ignored-keys.ts';
import { refusedKeys } from './refused-keys.ts';
import { configKeys, keyInfo, keyStatus, knownNames, valueSchema } from './schema.ts';
import { foreignNames, samplingStrategies, translatedKeys } from './translated-keys.ts';

interface Recorded {
  readonly transformers: { readonly names: readonly string[] };
  readonly llamafactory: { readonly names: readonly string[] };
}
const recorded = JSON.parse(readFileSync(new URL('./fixtures/known-names.json', import.meta.url), 'utf8')) as Recorded;

test('every key of transformers and LLaMA-Factory is known', () => {
  const unknown = (names: readonly string[]): string[] => names.filter((name) => keyStatus(name) === 'unknown');
  expect(recorded.transformers.names.length).toBeGreaterThan(140);
  expect(recorded.llamafactory.names.length).toBeGreaterThan(270);
  expect(unknown(recorded.transformers.names)).toEqual([]);
  expect(unknown(recorded.llamafactory.names)).toEqual([]);
});

test('no name stands in two tables', () => {
  const names = knownNames();
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  expect(ignoredKeys.size + Object.keys(refusedKeys).length).toBeGreaterThan(300);
});

test('other names point to supported keys', () => {
  const targets = [
    ...Object.values(translatedKeys).map(({ to }) => to),
    ...Object.values(samplingStrategies).flatMap((keys) => Object.keys(keys)),
  ];
  expect(targets.filter((key) => keyStatus(key) !== 'supported')).toEqual([]);
  expect(Object.values(foreignNames).filter((key) => keyStatus(key) === 'unknown')).toEqual([]);
  expect(Object.keys(foreignNames).filter((key) => keyStatus(key) !== 'unknown')).toEqual([]);
});

test('every supported key has a record and a schema that a form can be made of', () => {
  for (const key of configKeys) {
    expect(keyInfo(key).help, key).toMatch(/[.)]$/);
    const schema = valueSchema(key);
    expect(schema.type ?? schema.enum ?? schema.const ?? schema.anyOf, key).toBeDefined();
  }
});
