import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expandGlob, isGlob } from './glob.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-glob-'));
  for (const name of [
    'a.jsonl',
    'b.jsonl',
    'b.csv',
    'x/c.jsonl',
    'x/y/d.jsonl',
    '.hidden.jsonl',
    'part-1.json',
    'part-12.json',
  ]) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), '');
  }
});
afterAll(async () => rm(folder, { recursive: true }));

it.each([
  ['*.jsonl', 'a.jsonl b.jsonl'],
  ['**/*.jsonl', 'a.jsonl b.jsonl x/c.jsonl x/y/d.jsonl'],
  ['{a,b}.{csv,jsonl}', 'a.jsonl b.csv b.jsonl'],
  ['[!a].jsonl', 'b.jsonl'],
  ['part-?.json', 'part-1.json'],
  ['*/c.jsonl', 'x/c.jsonl'],
  ['x/**', 'x/c.jsonl x/y/d.jsonl'],
  ['none/*.jsonl', ''],
])('%s', async (pattern, expected) => {
  const found = await expandGlob(join(folder, pattern));
  expect(found.map((path) => path.slice(folder.length + 1)).join(' ')).toBe(expected);
});

it('tells patterns from names', () => {
  expect(['a.json', 'a*.json', 'a[1].json', '{a,b}', '{{name}}', 'x/y'].map(isGlob)).toEqual([
    false,
    true,
    true,
    true,
    false,
    false,
  ]);
});
