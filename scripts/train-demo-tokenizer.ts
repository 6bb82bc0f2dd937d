/**
 * Trains the demo model's tokenizer on the demo texts and writes tokenizer.json, tokenizer_config.json and the chat template
 * to assets/demo/model.
 *
 *     npx tsx scripts/train-demo-tokenizer.ts
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { byteLevelTokenizer, specialTokens } from './demo/small-llama.ts';
import { sentimentRows } from './demo/sentiment.ts';
import { pretrainingText } from './demo/tasks.ts';
import { trainBpe } from './demo/train-bpe.ts';
import { TEST_ROWS, TRAIN_ROWS } from './make-demo-data.ts';

const VOCABULARY = 1536;
const MIN_COUNT = 20;
const TEXTS = 12_000;

/** The demo model's tokenizer files, by name, as text. */
export function tokenizerFiles(): Record<string, string> {
  const texts = Array.from({ length: TEXTS }, (_, i) => pretrainingText(i));
  for (const row of sentimentRows(TRAIN_ROWS, TEST_ROWS).train)
    texts.push(row.instruction, `${row.input}\n`, row.output);
  const plain = texts.flatMap((text) => text.split(/<\|im_start\|>|<\|im_end\|>/));
  return byteLevelTokenizer(trainBpe(plain, VOCABULARY - specialTokens.length, MIN_COUNT));
}

async function main(): Promise<void> {
  const folder = fileURLToPath(new URL('../assets/demo/model/', import.meta.url));
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(tokenizerFiles())) {
    await writeFile(folder + name, content);
    console.log(`${name}: ${content.length} bytes`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
