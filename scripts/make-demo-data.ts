/**
 * Makes the demo data: the classification rows under assets/demo/data, and the pretraining text of the demo model under
 * .cache/demo (not committed). Everything is made from the grammars in scripts/demo by a seeded stream, without download.
 *
 *     npx tsx scripts/make-demo-data.ts
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { labels, sentimentRows } from './demo/sentiment.ts';
import { pretrainingText, talkRow } from './demo/tasks.ts';

export const TRAIN_ROWS = 1000;
export const TEST_ROWS = 200;
export const PRETRAINING_TEXTS = 40_000;
export const TALKS = 24_000;

/** The committed files, by name, as text. */
export function demoFiles(): Record<string, string> {
  const { train, test } = sentimentRows(TRAIN_ROWS, TEST_ROWS);
  const lines = (rows: readonly object[]) => `[\n${rows.map((row) => JSON.stringify(row)).join(',\n')}\n]\n`;
  const info = {
    sentiment_train: { file_name: 'sentiment_train.json' },
    sentiment_test: { file_name: 'sentiment_test.json' },
  };
  return {
    'dataset_info.json': `${JSON.stringify(info, null, 2)}\n`,
    'sentiment_train.json': lines(train),
    'sentiment_test.json': lines(test),
  };
}

/** The two sets that the demo model is made from, as JSONL: texts, and small talks; nothing occurs twice. */
export function modelFiles(): Record<string, string> {
  const lines = (make: (index: number) => object, count: number) => {
    const rows = new Set<string>();
    for (let i = 0; rows.size < count; i++) rows.add(`${JSON.stringify(make(i))}\n`);
    return [...rows].join('');
  };
  const info = {
    demo_texts: { file_name: 'texts.jsonl', columns: { prompt: 'text' } },
    demo_talks: { file_name: 'talks.jsonl', columns: { prompt: 'instruction', response: 'output', system: 'system' } },
  };
  return {
    'dataset_info.json': `${JSON.stringify(info, null, 2)}\n`,
    'texts.jsonl': lines((index) => ({ text: pretrainingText(index) }), PRETRAINING_TEXTS),
    'talks.jsonl': lines(talkRow, TALKS),
  };
}

/** Writes the files that `make-demo-model.ts` trains on to `folder`. */
export async function writeModelFiles(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(modelFiles())) await writeFile(join(folder, name), content);
}

async function main(): Promise<void> {
  const data = fileURLToPath(new URL('../assets/demo/data/', import.meta.url));
  await mkdir(data, { recursive: true });
  for (const [name, content] of Object.entries(demoFiles())) await writeFile(join(data, name), content);
  await writeModelFiles(fileURLToPath(new URL('../.cache/demo/data/', import.meta.url)));
  console.log(
    `${TRAIN_ROWS} + ${TEST_ROWS} rows of ${labels.length} labels, ${PRETRAINING_TEXTS} texts, ${TALKS} small talks`,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
