/**
 * Writes `assets/jieba`: the dictionary and the probabilities of Python's jieba 0.42.1 (MIT) in the form that `src/eval/jieba.ts` reads.
 * `tsx scripts/make-jieba-data.ts FOLDER`, FOLDER being the package as `pip install jieba==0.42.1` leaves it (it holds `dict.txt`).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';

const folder = process.argv[2];
if (folder === undefined) throw new Error('make-jieba-data.ts: the folder of the jieba package must be given');
const output = fileURLToPath(new URL('../assets/jieba/', import.meta.url));
mkdirSync(output, { recursive: true });

/** A word of each line with its count; a word that stands twice has its last count, while the sum counts both. */
const counts = new Map<string, number>();
let total = 0;
for (const line of readFileSync(join(folder, 'dict.txt'), 'utf8').split('\n')) {
  if (line.trim() === '') continue;
  const [word, count] = line.trim().split(' ');
  counts.set(word!, Number(count));
  total += Number(count);
}
const lines = [String(total)];
let last = '';
for (const [word, count] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
  let shared = 0;
  while (shared < last.length && shared < word.length && last[shared] === word[shared]) shared++;
  lines.push(String.fromCharCode(48 + shared) + word.slice(shared) + (count === 3 ? '' : ` ${count}`));
  last = word;
}

/** The dictionaries of numbers that the package writes as Python source, read as JSON. */
function probabilities(name: string): Record<string, unknown> {
  const source = readFileSync(join(folder!, 'finalseg', `prob_${name}.py`), 'utf8');
  const literal = source.slice(source.indexOf('{')).replaceAll("'", '"');
  return JSON.parse(literal) as Record<string, unknown>;
}
const emission = Object.entries(probabilities('emit') as Record<string, Record<string, number>>).map(
  ([state, values]) => [state, { characters: Object.keys(values).join(''), values: Object.values(values) }] as const,
);
const model = {
  start: probabilities('start'),
  transition: probabilities('trans'),
  emission: Object.fromEntries(emission),
};

for (const [name, text] of [
  ['words.txt.br', lines.join('\n')],
  ['model.json.br', JSON.stringify(model)],
] as const) {
  const bytes = Buffer.from(text);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 };
  const packed = brotliCompressSync(bytes, { params });
  writeFileSync(join(output, name), packed);
  console.log(`${name}: ${bytes.length} bytes, ${packed.length} packed`);
}
