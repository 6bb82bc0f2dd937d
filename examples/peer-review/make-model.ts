/**
 * Makes the model that this example starts from: a Llama of random weights and a byte-level BPE vocabulary of the training texts.
 * `npx tsx examples/peer-review/make-model.ts saves/peer-review/data saves/peer-review/random`. It knows no language before it is trained.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { byteLevelTokenizer, specialTokens, writeRandomLlama } from '../../scripts/demo/small-llama.ts';
import { trainBpe } from '../../scripts/demo/train-bpe.ts';
import { hashKey } from '../../src/util/index.ts';

const [data, target] = process.argv.slice(2);
if (data === undefined || target === undefined)
  throw new Error('make-model.ts: give the folder of train.json, and where to write');

const mostPieces = 1500;
/** Times that a pair of pieces must occur to become one. */
const leastCount = 10;

const rows = JSON.parse(readFileSync(join(data, 'train.json'), 'utf8')) as { instruction: string; output: string }[];
const bpe = trainBpe(
  rows.flatMap(({ instruction, output }) => [instruction, output]),
  mostPieces,
  leastCount,
);
const vocabulary = specialTokens.length + bpe.pieces.length;
mkdirSync(target, { recursive: true });
await writeRandomLlama(target, { vocabulary, width: 128, ffn: 352, layers: 3, heads: 4, kvHeads: 2 }, (name) =>
  hashKey('peer review example', name),
);
for (const [name, text] of Object.entries(byteLevelTokenizer(bpe))) writeFileSync(join(target, name), text);
console.log(`${target}: a vocabulary of ${vocabulary}`);
