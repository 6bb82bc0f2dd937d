/**
 * Rows per second of preparing data against `datasets.map` with the Rust tokenizer, alternating, and the memory of
 * preparing many rows.
 *
 *   npx tsx bench/data/run.ts --python PYTHON [--rows ../shared/data/restricted/alpaca/alpaca_2000.json] [--copies 50]
 *     [--tokenizer ../shared/data/tokenizers/qwen2] [--rounds 3] [--processes 2] [--workers 1]
 *   npx tsx bench/data/run.ts --memory 2000000
 *
 * Both sides read the same JSONL file, word the rows as Alpaca has them, tokenise them and mask the prompts; their
 * numbers of tokens are compared. Ours also counts, checks and hashes every row.
 */
import { execFileSync } from 'node:child_process';
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine, median } from '../support/machine.ts';

const { values: options } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    rows: { type: 'string', default: '../shared/data/restricted/alpaca/alpaca_2000.json' },
    copies: { type: 'string', default: '50' },
    tokenizer: { type: 'string', default: '../shared/data/tokenizers/qwen2' },
    rounds: { type: 'string', default: '3' },
    processes: { type: 'string' },
    workers: { type: 'string' },
    memory: { type: 'string' },
  },
});

interface Figures {
  readonly seconds: number;
  readonly rows: number;
  readonly tokens: number;
  readonly trainedTokens: number;
  readonly peakBytes: number;
}

const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
execFileSync('npx', ['tsc', '-p', pathOf('tsconfig.json')], { stdio: ['ignore', 'ignore', 'inherit'] });
const ours = pathOf('../../.cache/bench-data-build/bench/data/our-prepare.js');

function run(command: string, args: readonly string[]): Figures {
  const output = execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  return JSON.parse(output.trim().split('\n').at(-1)!) as Figures;
}

const rows = (JSON.parse(readFileSync(options.rows, 'utf8')) as unknown[]).map((row) => JSON.stringify(row));
const folder = mkdtempSync(join(tmpdir(), 'fettle-bench-data-'));
const file = join(folder, 'rows.jsonl');
try {
  const wanted = options.memory === undefined ? rows.length * Number(options.copies) : Number(options.memory);
  const stream = createWriteStream(file);
  for (let written = 0; written < wanted; written += rows.length) {
    const part = `${rows.slice(0, wanted - written).join('\n')}\n`;
    if (!stream.write(part)) await once(stream, 'drain');
  }
  stream.end();
  await once(stream, 'close');
  console.log(JSON.stringify(describeMachine()));
  const prepareOurs = () =>
    run(process.execPath, [
      ours,
      file,
      options.tokenizer,
      'alpaca',
      ...(options.workers === undefined ? [] : [options.workers]),
    ]);
  if (options.memory !== undefined) {
    const { rows: read, tokens, seconds, peakBytes } = prepareOurs();
    console.log(`${read} rows, ${tokens} tokens: ${(peakBytes / 1e9).toFixed(3)} GB at most, ${seconds.toFixed(0)} s`);
  } else {
    const more = options.processes === undefined ? [] : [options.processes];
    const prepareTheirs = () => run(options.python, [pathOf('peer.py'), file, options.tokenizer, ...more]);
    const ratios: number[] = [];
    for (let round = 0; round < Number(options.rounds); round++) {
      const sides = round % 2 === 0 ? [prepareOurs, prepareTheirs] : [prepareTheirs, prepareOurs];
      const [first, second] = sides.map((side) => side());
      const [our, their] = round % 2 === 0 ? [first!, second!] : [second!, first!];
      if (our.tokens !== their.tokens || our.trainedTokens !== their.trainedTokens) {
        console.log(`the sides differ: ${our.tokens} and ${their.tokens} tokens`);
      }
      ratios.push(their.seconds / our.seconds);
      console.log(
        `ours ${Math.round(our.rows / our.seconds)} rows/s, ${(our.peakBytes / 1e9).toFixed(2)} GB; ` +
          `datasets.map ${Math.round(their.rows / their.seconds)} rows/s, ${(their.peakBytes / 1e9).toFixed(2)} GB`,
      );
    }
    console.log(`ratio of speeds (median of ${ratios.length}): ${median(ratios).toFixed(2)}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
