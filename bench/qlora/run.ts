/**
 * One whole QLoRA step of the Llama 3 8B shape: memory, seconds, and bytes read from disk.
 *
 *   npx tsx bench/qlora/run.ts [--layers 32] [--tokens 512] [--memory-limit 3] [--group-limit GB] [--python PYTHON]
 *     [--cache FOLDER] [--output FILE.json]
 *
 * Weights are random, written once as 4-bit codes by the product's own writer (5.7 GB for all 32 layers, 3.5 of them codes).
 * --memory-limit: GB that the memory plan may use. --group-limit: runs in a memory group (cgroup v1, needs write access) of so
 * many GB, page cache included, with the file's pages dropped first. --python: the same step of transformers + PEFT +
 * bitsandbytes beside it (choose --layers 2). A step of all layers takes 3 to 15 minutes.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { defaultCacheFolder } from '../support/bench-models.ts';
import { describeMachine } from '../support/machine.ts';
import { ourEnvironment } from '../support/sides.ts';
import { fourBitModel, llama8b } from './make-model.ts';

const { values: options } = parseArgs({
  options: {
    layers: { type: 'string', default: '32' },
    tokens: { type: 'string', default: '512' },
    'memory-limit': { type: 'string', default: '3' },
    'group-limit': { type: 'string' },
    form: { type: 'string' },
    steps: { type: 'string', default: '1' },
    python: { type: 'string' },
    cache: { type: 'string', default: defaultCacheFolder },
    output: { type: 'string' },
  },
});

const pathOf = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const layers = Number(options.layers);
const model = await fourBitModel(llama8b(layers), join(options.cache, `llama-8b-nf4-${layers}`));
const fileBytes = statSync(join(model, 'model.safetensors')).size;

/** A memory group of its own; undefined where the system has none that may be written. */
function memoryGroup(limitBytes: number): string | undefined {
  const root = '/sys/fs/cgroup/memory';
  if (!existsSync(join(root, 'memory.limit_in_bytes'))) return undefined;
  const folder = join(root, `fettle-bench-${process.pid}`);
  try {
    mkdirSync(folder);
    writeFileSync(join(folder, 'memory.limit_in_bytes'), String(limitBytes));
    return folder;
  } catch {
    return undefined;
  }
}

/** Runs a command, a group's name before it where there is one, and gives the JSON lines that it prints. */
async function jsonLines(command: readonly string[], environment: object, group?: string): Promise<object[]> {
  const wrapped =
    group === undefined ? command : ['sh', '-c', `echo $$ > ${group}/cgroup.procs && exec "$@"`, 'sh', ...command];
  const child = spawn(wrapped[0]!, wrapped.slice(1), {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command[0]} ended with ${code}`);
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as object);
}

execFileSync('npx', ['tsc', '-p', pathOf('tsconfig.json')], { stdio: ['ignore', 'ignore', 'inherit'] });
const script = pathOf('../../.cache/bench-build/bench/qlora/step.js');
const results: Record<string, unknown> = {
  machine: describeMachine(),
  layers,
  tokens: Number(options.tokens),
  fileBytes,
};
let group: string | undefined;
if (options['group-limit'] !== undefined) {
  const limit = Number(options['group-limit']) * 1e9;
  group = memoryGroup(limit);
  results['group'] = group === undefined ? 'not run: no memory group may be made here' : { limitBytes: limit };
  // pages that others have read would not count as read
  execFileSync('dd', [`if=${join(model, 'model.safetensors')}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' });
}
try {
  if (options['group-limit'] === undefined || group !== undefined) {
    const form = options.form === undefined ? ['--memory-limit', options['memory-limit']] : ['--form', options.form];
    results['fettle'] = await jsonLines(
      [process.execPath, script, '--model', model, '--tokens', options.tokens, '--steps', options.steps, ...form],
      ourEnvironment,
      group,
    );
  }
} finally {
  if (group !== undefined) rmdirSync(group);
}
if (options.python !== undefined) {
  results['transformers, PEFT, bitsandbytes'] = await jsonLines(
    [
      options.python,
      '-W',
      'ignore',
      pathOf('peer.py'),
      '--model',
      model,
      '--tokens',
      options.tokens,
      '--steps',
      options.steps,
    ],
    {},
  );
}
process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
if (options.output !== undefined) writeFileSync(options.output, `${JSON.stringify(results, null, 2)}\n`);
