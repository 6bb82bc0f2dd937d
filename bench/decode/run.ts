/**
 * Decoding of the 135M shape, side by side with transformers and llama.cpp, alternating in one run.
 *
 *   npx tsx bench/decode/run.ts --python PYTHON [--contexts 100,4000] [--rounds 5] [--tokens 32] [--rows 16]
 *     [--llama FOLDER --tokenizer FOLDER] [--cache FOLDER] [--output FILE.json]
 *
 * PYTHON has bench/requirements.txt. FOLDER of --llama has node-llama-cpp with its binary for this platform; --tokenizer is any
 * tokenizer of at most 49,152 tokens, which GGUF files must have. All sides have 2 threads. Run it alone.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { exportGguf } from '../../src/export/index.ts';
import { benchModel, defaultCacheFolder } from '../support/bench-models.ts';
import { describeMachine, median } from '../support/machine.ts';
import { ourEnvironment } from '../support/sides.ts';
import { StepProcess } from '../support/step-process.ts';

const { values: options } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    contexts: { type: 'string', default: '100,4000' },
    rounds: { type: 'string', default: '5' },
    tokens: { type: 'string', default: '32' },
    rows: { type: 'string', default: '16' },
    llama: { type: 'string' },
    tokenizer: { type: 'string' },
    cache: { type: 'string', default: defaultCacheFolder },
    output: { type: 'string' },
  },
});

interface Report {
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly ids: readonly number[];
}

const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
execFileSync('npx', ['tsc', '-p', pathOf('../tsconfig.json')], { stdio: ['ignore', 'ignore', 'inherit'] });
const ours = pathOf('../../.cache/bench-build/bench/support/our-decode.js');
const stored = await benchModel('135m', 'F32', options.cache);
const model = withPositions(stored);

/** The model with room for 8,192 positions: a folder of links with a config of its own. */
function withPositions(folder: string): string {
  const longer = `${folder}-8k`;
  if (existsSync(join(longer, 'config.json'))) return longer;
  mkdirSync(longer, { recursive: true });
  for (const name of readdirSync(folder))
    if (name !== 'config.json') symlinkSync(join(folder, name), join(longer, name));
  const config = JSON.parse(execFileSync('cat', [join(folder, 'config.json')], { encoding: 'utf8' })) as object;
  writeFileSync(join(longer, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 8192 }));
  return longer;
}

async function ggufFile(type: 'f16' | 'q4_0'): Promise<string> {
  const output = join(options.cache, `135m-${type}.gguf`);
  if (!existsSync(output)) {
    for (const name of readdirSync(options.tokenizer!)) {
      if (name.startsWith('tokenizer')) copyFileSync(join(options.tokenizer!, name), join(model, name));
    }
    await exportGguf({ model, output, type });
  }
  return output;
}

const our = (dtype: string) =>
  StepProcess.start(
    `fettle ${dtype}`,
    [process.execPath, ours, '--model', model, '--dtype', dtype],
    // as `fettle generate`, `chat` and the server's engine are started
    ourEnvironment,
  );
const peer = (dtype: string) =>
  StepProcess.start(`transformers ${dtype}`, [options.python, pathOf('peer.py'), '--model', model, '--dtype', dtype]);
const llama = async (type: 'f16' | 'q4_0') =>
  StepProcess.start(`llama.cpp ${type}`, [
    process.execPath,
    pathOf('llama.mjs'),
    options.llama!,
    await ggufFile(type),
    '2',
  ]);

const sides = [
  await our('float32'),
  await our('int8'),
  await our('int4'),
  await peer('float32'),
  await peer('bfloat16'),
];
if (options.llama !== undefined) sides.push(await llama('f16'), await llama('q4_0'));
const results: Record<string, Record<string, Report[]>> = {};
const ask = async (side: StepProcess, context: number, rows: number, tokens: number): Promise<Report> =>
  (await side.ask({ do: 'decode', context, rows, tokens })) as Report;

for (const context of options.contexts.split(',').map(Number)) {
  const own: Record<string, Report[]> = (results[`context ${context}`] = {});
  for (const side of sides) await ask(side, Math.min(context, 64), 1, 8);
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      (own[side.name] ??= []).push(await ask(side, context, 1, Number(options.tokens)));
    }
    process.stderr.write(`context ${context}: ${round + 1} of ${options.rounds}\n`);
  }
}
const rows = Number(options.rows);
const batched: Record<string, Report[]> = (results[`${rows} rows`] = {});
for (let round = 0; round < Math.min(3, Number(options.rounds)); round++) {
  for (const side of sides.slice(0, 3))
    (batched[side.name] ??= []).push(await ask(side, 100, rows, Number(options.tokens)));
}
for (const side of sides) await side.quit();

const milliseconds = (reports: readonly Report[]): number => 1000 * median(reports.map(({ seconds }) => seconds));
const speed = (reports: readonly Report[]): number => median(reports.map(({ tokensPerSecond }) => tokensPerSecond));
const ratio = (a: readonly Report[], b: readonly Report[]): string =>
  median(a.map(({ seconds }, i) => b[i]!.seconds / seconds)).toFixed(2);
const lines: string[] = [];
for (const [setting, reports] of Object.entries(results)) {
  if (setting.endsWith('rows')) continue;
  for (const [name, own] of Object.entries(reports))
    lines.push(`${setting}: ${name}: ${milliseconds(own).toFixed(1)} ms a token`);
  const of = (name: string): readonly Report[] => reports[name]!;
  lines.push(
    `${setting}: fettle float32 / transformers float32: ${ratio(of('fettle float32'), of('transformers float32'))} x`,
  );
  for (const dtype of ['int8', 'int4']) {
    lines.push(
      `${setting}: fettle ${dtype} / transformers bfloat16: ${ratio(of(`fettle ${dtype}`), of('transformers bfloat16'))} x`,
    );
  }
  if (options.llama !== undefined) {
    lines.push(`${setting}: fettle float32 / llama.cpp f16: ${ratio(of('fettle float32'), of('llama.cpp f16'))} x`);
    lines.push(`${setting}: fettle int4 / llama.cpp q4_0: ${ratio(of('fettle int4'), of('llama.cpp q4_0'))} x`);
  }
  const greedy = (name: string): string => of(name)[0]!.ids.join();
  lines.push(
    `${setting}: float32 ids equal to transformers': ${greedy('fettle float32') === greedy('transformers float32')}`,
  );
}
for (const [name, reports] of Object.entries(batched)) {
  const one = results[`context ${options.contexts.split(',')[0]}`]![name]!;
  lines.push(
    `${rows} rows: ${name}: ${speed(reports).toFixed(1)} tokens/s, ${(speed(reports) / speed(one)).toFixed(2)} x one row's ${speed(one).toFixed(1)}`,
  );
}
const machine = describeMachine();
console.log([JSON.stringify(machine), ...lines].join('\n'));
if (options.output !== undefined) writeFileSync(options.output, JSON.stringify({ machine, results }, null, 1));
