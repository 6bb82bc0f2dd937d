/** A supported key that no room reads would be a promise that nothing keeps. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { configKeys } from '../src/config/index.ts';

/** Keys that the room of the configuration itself reads: into another key, or into a notice. */
const readInConfig = [
  'neat_packing',
  'metric_for_best_model',
  'predict_with_generate',
  'num_beams',
  'bf16',
  'fp16',
  'pure_bf16',
  'bf16_full_eval',
  'fp16_full_eval',
  'fp8',
];

test('every supported key is read somewhere outside the room of the configuration', () => {
  const source = fileURLToPath(new URL('../src', import.meta.url));
  const code = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => /^(?!config\/|messages\/).*(?<!\.test|\.fixture)\.ts$/.test(path))
    .map((path) => readFileSync(join(source, path), 'utf8').replace(/\/\*[\s\S]*?\*\//g, ''))
    .join('\n');
  const words = new Set(code.match(/\w+/g));
  const unread = configKeys.filter((key) => !words.has(key));
  expect(unread.filter((key) => !readInConfig.includes(key))).toEqual([]);
  expect(readInConfig.filter((name) => !configKeys.some((key) => key === name))).toEqual([]);
});
