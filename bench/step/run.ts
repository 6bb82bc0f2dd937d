/**
 * The training step, side by side with transformers + PEFT on torch, alternating in one run.
 *
 *   npx tsx bench/step/run.ts --python PYTHON [--shape 135m|1.1b] [--steps 7] [--dtype F32|BF16]
 *     [--pairs whole:float32,segmented:bfloat16-checkpointing] [--compute float32|int8|int8_careful] [--cache FOLDER] [--output FILE.json]
 *
 * The other side of a pair may also be `fettle`: the same step of ours in f32, which tells what --compute gains.
 * PYTHON is an interpreter with bench/requirements.txt. Run it alone: the figures are ratios, but a busy machine widens them.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { hashKey, mix32 } from '../../src/util/index.ts';
import { alternate, type Comparison, comparisonTable } from '../support/alternate.ts';
import { benchModel, type BenchShape, benchShapes, defaultCacheFolder } from '../support/bench-models.ts';
import { describeMachine } from '../support/machine.ts';
import {
  buildOurStep,
  ourCommand,
  ourEnvironment,
  type OurPlan,
  peerCommand,
  type PeerVariant,
} from '../support/sides.ts';
import { type Batch, StepProcess } from '../support/step-process.ts';

const { values: options } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    shape: { type: 'string', default: '135m' },
    steps: { type: 'string', default: '7' },
    dtype: { type: 'string', default: 'F32' },
    pairs: { type: 'string' },
    cache: { type: 'string', default: defaultCacheFolder },
    output: { type: 'string' },
    compute: { type: 'string', default: 'float32' },
  },
});

const shape = options.shape as BenchShape;
const config = benchShapes[shape];
const rows = shape === '135m' ? { count: 4, length: 256 } : { count: 1, length: 512 };
const defaultPairs =
  shape === '135m'
    ? 'whole:float32,whole:bfloat16,segmented:bfloat16-checkpointing'
    : 'whole:float32,whole:bfloat16,segmented:float32';

/** Random ids; the first half of every row is a prompt, so half the labels are masked. */
function randomBatch(number: number): Batch {
  const ids = Array.from({ length: rows.count }, (_, r) => {
    const key = hashKey('bench', number, r);
    return Array.from({ length: rows.length }, (_, t) => mix32(key, t) % (config['vocab_size'] as number));
  });
  return { ids, labels: ids.map((row) => row.map((id, t) => (t < row.length / 2 ? -100 : id))) };
}

const model = await benchModel(shape, options.dtype as 'F32' | 'BF16', options.cache);
const ourScript = buildOurStep();
const ourOptions = (compute: string) => [
  '--compute',
  compute,
  '--rows',
  String(rows.count),
  '--longest',
  String(rows.length),
  '--labelled',
  String((rows.count * rows.length) / 2),
];
/** Segments take the form that the memory plan chooses under what the project claims of them (1.0 and 1.2 GB), less what a plan may be off. */
const limited = ['--memory-limit', shape === '135m' ? '1e9' : '1.15e9'];
const machine = describeMachine();
const batches = Array.from({ length: Number(options.steps) }, (_, i) => randomBatch(i));
const comparisons: Comparison[] = [];
for (const pair of (options.pairs ?? defaultPairs).split(',')) {
  const [plan, variant] = pair.split(':') as [OurPlan, PeerVariant | 'fettle'];
  const startOurs = (compute: string) =>
    StepProcess.start(
      `fettle ${plan}${compute === 'float32' ? '' : ` ${compute}`}`,
      ourCommand(ourScript, model, plan, [...ourOptions(compute), ...(plan === 'segmented' ? limited : [])]),
      ourEnvironment,
    );
  const startPeer = (dtype: PeerVariant) =>
    StepProcess.start(`torch ${dtype}`, peerCommand(options.python, model, dtype));
  process.stderr.write(`${shape}: ${plan} against ${variant === 'fettle' ? 'our f32' : `torch ${variant}`}\n`);
  const ours = await startOurs(options.compute);
  const theirs = await (variant === 'fettle' ? startOurs('float32') : startPeer(variant));
  try {
    comparisons.push(await alternate(ours, theirs, randomBatch(1000), batches));
  } finally {
    await Promise.all([ours.quit(), theirs.quit()]);
  }
}
process.stdout.write(
  `${JSON.stringify(machine)}\n${shape}, ${rows.count} x ${rows.length}, weights stored as ${options.dtype}, LoRA rank 16 on all linear layers, half the labels masked\n\n${comparisonTable(comparisons)}\n`,
);
if (options.output !== undefined) {
  const script = fileURLToPath(import.meta.url)
    .split('/')
    .slice(-3)
    .join('/');
  writeFileSync(options.output, `${JSON.stringify({ script, shape, rows, machine, comparisons }, null, 2)}\n`);
}
