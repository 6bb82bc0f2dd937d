/**
 * Makes the model that this example starts from: a Llama of random weights and a byte-level BPE vocabulary of
 * the characters and the most frequent pairs of characters of the training reviews.
 * `npx tsx examples/sentiment/make-model.ts saves/sentiment/data saves/sentiment/random`. It knows no language before it is trained.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { byteLevelTokenizer, specialTokens, writeRandomLlama } from '../../scripts/demo/small-llama.ts';
import { byteCharacters } from '../../scripts/demo/train-bpe.ts';
import { hashKey } from '../../src/util/index.ts';

const [data, target] = process.argv.slice(2);
if (data === undefined || target === undefined)
  throw new Error('make-model.ts: give the folder of train.json, and where to write');

/** Rarer characters stay bytes; of pairs of characters the most frequent become pieces. */
const rarestCharacter = 4;
const pairs = 2500;

const rows = JSON.parse(readFileSync(join(data, 'train.json'), 'utf8')) as { instruction: string; output: string }[];
const bytes = byteCharacters();
/** A text in the characters that stand for its bytes. */
const inBytes = (text: string): string => Array.from(new TextEncoder().encode(text), (byte) => bytes[byte]!).join('');

const characters = new Map<string, number>();
const neighbours = new Map<string, number>();
const han = /\p{Script=Han}/u;
for (const { instruction, output } of rows) {
  const list = Array.from(instruction + output);
  list.forEach((character, i) => {
    if (!han.test(character)) return;
    characters.set(character, (characters.get(character) ?? 0) + 1);
    const next = list[i + 1];
    if (next === undefined || !han.test(next)) return;
    neighbours.set(character + next, (neighbours.get(character + next) ?? 0) + 1);
  });
}
const known = [...characters].filter(
  ([character, count]) => count >= rarestCharacter && inBytes(character).length === 3,
);
const isKnown = new Set(known.map(([character]) => character));
const frequent = [...neighbours]
  .filter(([pair]) => Array.from(pair).every((character) => isKnown.has(character)))
  .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
  .slice(0, pairs)
  .map(([pair]) => Array.from(pair).map(inBytes) as [string, string]);
// Two bytes, then the third, then pairs of whole characters.
const starts = [...new Set(known.map(([character]) => inBytes(character).slice(0, 2)))];
const merges: [string, string][] = [
  ...starts.map((start): [string, string] => [start[0]!, start[1]!]),
  ...known.map(([character]): [string, string] => [inBytes(character).slice(0, 2), inBytes(character).slice(2)]),
  ...frequent,
];
const pieces = [...bytes, ...merges.map(([first, second]) => first + second)];
mkdirSync(target, { recursive: true });
const shape = {
  vocabulary: specialTokens.length + pieces.length,
  width: 96,
  ffn: 192,
  layers: 2,
  heads: 4,
  kvHeads: 4,
};
await writeRandomLlama(target, shape, (name) => hashKey('sentiment example', name));
for (const [name, text] of Object.entries(byteLevelTokenizer({ pieces, merges })))
  writeFileSync(join(target, name), text);
console.log(`${target}: a vocabulary of ${shape.vocabulary}`);
