import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { characterEncoder } from './character-encoder.fixture.ts';
import type { DataSettings } from './settings.ts';
import { dataStats, languageOf } from './stats.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-stats-'));
});
afterAll(async () => rm(folder, { recursive: true }));

it('counts lengths, turns, languages and what is trained, for each data set and for all', async () => {
  await writeFile(
    join(folder, 'a.jsonl'),
    '{"instruction": "abcd", "output": "ef"}\n{"instruction": "你好", "output": "好"}\n{"instruction": "x"}\n',
  );
  await writeFile(
    join(folder, 'b.jsonl'),
    `{"instruction": "q", "output": "${'y'.repeat(50)}", "history": [["a", "b"]]}\n{"instruction": "q", "output": "r", "history": [["a", "b"]]}\n`,
  );
  const settings = {
    stage: 'sft',
    dataset: ['a.jsonl', 'b.jsonl'],
    dataset_dir: folder,
    cutoff_len: 40,
    overlong: 'drop',
    mask_history: false,
    packing: false,
    data_seed: 1,
  } as unknown as DataSettings;
  const { total, datasets, lengths } = await dataStats(settings, characterEncoder);
  expect(lengths).toEqual([10, 7, 61, 12]);
  expect(datasets.map(({ dataset, rows, sequences, dropped }) => [dataset, rows, sequences, dropped])).toEqual([
    ['a.jsonl', 3, 2, { 'missing-field': 1 }],
    ['b.jsonl', 2, 1, { 'over-length': 1 }],
  ]);
  expect(total).toEqual({
    dataset: 'all',
    rows: 5,
    dropped: { 'missing-field': 1, 'over-length': 1 },
    sequences: 3,
    tokens: 29,
    trained_tokens: 9,
    trained_share: 0.3103,
    length: { min: 7, median: 10, mean: 9.7, p90: 12, p99: 12, max: 12 },
    prompt_length: { min: 5, median: 7, mean: 6.7, p90: 8, p99: 8, max: 8 },
    response_length: { min: 2, median: 3, mean: 3, p90: 4, p99: 4, max: 4 },
    turns: { 1: 2, 2: 2 },
    languages: { Latin: 3, Chinese: 1 },
  });
});

it('tells languages by their letters', () => {
  expect(['Hello', '你好 hello', 'こんにちは世界', 'Привет', '안녕', '123'].map(languageOf)).toEqual([
    'Latin',
    'Chinese',
    'Japanese',
    'Cyrillic',
    'Korean',
    'none',
  ]);
});
