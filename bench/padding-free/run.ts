/**
 * Useful tokens per second on rows of real lengths: our padding-free batches against TRL's default collation (every row
 * padded to the longest of its batch, logits of every token), alternating on the same batches of eight.
 *
 *   npx tsx bench/padding-free/run.ts --python PYTHON [--rows ../shared/data/restricted/alpaca/alpaca_2000.json]
 *     [--tokenizer ../shared/data/tokenizers/gpt2/tokenizer.json] [--batches 12] [--variants float32,bfloat16]
 *     [--cache FOLDER] [--output FILE.json]
 *
 * Useful tokens are those of the rows; padding counts for neither side. The prompt is masked. Only ids and lengths of the
 * rows are used. A second table lets our side group the same rows by length, as Fettle does unless told otherwise.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { createTokenizer } from '../../src/tokenizer/index.ts';
import { permutation } from '../../src/util/index.ts';
import { alternate, type Comparison, comparisonTable } from '../support/alternate.ts';
import { benchModel, defaultCacheFolder } from '../support/bench-models.ts';
import { describeMachine, median } from '../support/machine.ts';
import { buildOurStep, ourCommand, ourEnvironment, peerCommand, type PeerVariant } from '../support/sides.ts';
import { type Batch, StepProcess } from '../support/step-process.ts';

const { values: options } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    rows: { type: 'string', default: '../shared/data/restricted/alpaca/alpaca_2000.json' },
    tokenizer: { type: 'string', default: '../shared/data/tokenizers/gpt2/tokenizer.json' },
    batches: { type: 'string', default: '12' },
    variants: { type: 'string', default: 'float32,bfloat16' },
    cache: { type: 'string', default: defaultCacheFolder },
    output: { type: 'string' },
  },
});

interface AlpacaRow {
  readonly instruction: string;
  readonly input: string;
  readonly output: string;
}

interface TokenizedRow {
  readonly ids: readonly number[];
  readonly labels: readonly number[];
}

const batchSize = 8;
/** Ids of the tokenizer are folded into the vocabulary of the model, which does not matter to the time. */
const vocabularySize = 49_152;
const endOfText = 50_256 % vocabularySize;

const tokenizer = createTokenizer(new Map([[basename(options.tokenizer), readFileSync(options.tokenizer)]]));

function tokenize(row: AlpacaRow): TokenizedRow {
  const encode = (text: string) => Array.from(tokenizer.encode(text), (id) => id % vocabularySize);
  const prompt = encode(`${row.instruction}${row.input === '' ? '' : `\n${row.input}`}\n`);
  const answer = [...encode(row.output), endOfText];
  return { ids: [...prompt, ...answer], labels: [...prompt.map(() => -100), ...answer] };
}

function toBatches(rows: readonly TokenizedRow[]): Batch[] {
  return Array.from({ length: rows.length / batchSize }, (_, i) => {
    const chosen = rows.slice(i * batchSize, (i + 1) * batchSize);
    return { ids: chosen.map((row) => row.ids), labels: chosen.map((row) => row.labels) };
  });
}

const all = JSON.parse(readFileSync(options.rows, 'utf8')) as AlpacaRow[];
const order = permutation(all.length, 42);
const count = Number(options.batches) * batchSize;
// One more batch for the warm-up: the longest rows of all, so that neither side meets a larger batch later.
const chosen = Array.from(order.subarray(0, count), (place) => tokenize(all[place]!));
const batches = toBatches(chosen);
const byLength = chosen.toSorted((a, b) => a.ids.length - b.ids.length);
const warmUp = toBatches(byLength.slice(-batchSize))[0]!;
const grouped = toBatches(byLength);
const lengths = chosen.map((row) => row.ids.length);
const longest = Math.max(...lengths);
const padded = batches.reduce((sum, { ids }) => sum + batchSize * Math.max(...ids.map((row) => row.length)), 0);
const useful = lengths.reduce((sum, length) => sum + length, 0);

const model = await benchModel('135m', 'F32', options.cache);
const ourScript = buildOurStep();
const machine = describeMachine();
const sample = {
  rows: count,
  medianLength: median(lengths),
  longest,
  usefulTokens: useful,
  paddedTokens: padded,
};
const meanTokens = String(useful / batches.length);
const size = ['--rows', String(batchSize), '--longest', String(longest), '--mean-tokens', meanTokens];
const comparisons: Comparison[] = [];
for (const variant of options.variants.split(',') as PeerVariant[]) {
  for (const [name, ourBatches] of [['', batches] as const, [' grouped by length', grouped] as const]) {
    process.stderr.write(`padding-free${name} against torch ${variant}\n`);
    const ours = await StepProcess.start(`fettle${name}`, ourCommand(ourScript, model, 'whole', size), ourEnvironment);
    const theirs = await StepProcess.start(`torch ${variant}`, peerCommand(options.python, model, variant));
    try {
      comparisons.push(await alternate(ours, theirs, warmUp, batches, ourBatches));
    } finally {
      await Promise.all([ours.quit(), theirs.quit()]);
    }
  }
}
process.stdout.write(
  `${JSON.stringify(machine)}\n${JSON.stringify(sample)}\n135M shape, batches of ${batchSize}, useful tokens per second\n\n${comparisonTable(comparisons)}\n`,
);
if (options.output !== undefined) {
  writeFileSync(options.output, `${JSON.stringify({ machine, sample, comparisons }, null, 2)}\n`);
}
