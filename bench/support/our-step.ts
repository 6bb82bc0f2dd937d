/**
 * One training step of Fettle, for a driver that alternates it with another: the same protocol as bench/step/peer.py.
 * The step is what the training loop does: forward, loss, backward, gradient norm, clipping, AdamW.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { parseConfig } from '../../src/config/index.ts';
import { adamw, clipFactor, globalGradientNorm } from '../../src/optim/index.ts';
import { createEngine, prepareTuning } from '../../src/train/create-engine.ts';
import type { PlanForm } from '../../src/train/plan-form.ts';
import type { Batch } from './step-process.ts';

const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    plan: { type: 'string', default: 'whole' },
    rank: { type: 'string', default: '16' },
    threads: { type: 'string', default: '2' },
    compute: { type: 'string', default: 'float32' },
    /** The largest batch: rows, tokens of the longest, labels in all. */
    rows: { type: 'string', default: '1' },
    longest: { type: 'string', default: '2048' },
    labelled: { type: 'string' },
    /** Tokens of a batch in the mean, where they are not all as large. */
    'mean-tokens': { type: 'string' },
    /** Bytes: the step takes the form that the memory plan chooses. */
    'memory-limit': { type: 'string', default: '64e9' },
    /** JSON: the step takes this form. */
    form: { type: 'string' },
  },
});

const rank = Number(options.rank);
const { config } = parseConfig(
  JSON.stringify({
    model_name_or_path: options.model,
    lora_rank: rank,
    lora_alpha: 2 * rank,
    lora_target: 'all',
    compute: options.compute,
    threads: Number(options.threads),
    gradient_checkpointing: options.plan === 'segmented',
    memory_limit: Number(options['memory-limit']),
    seed: 1,
  }),
  'options of the bench',
);
const setup = await prepareTuning(config, () => false);
const rows = Number(options.rows);
const longest = Number(options.longest);
const tokens = rows * longest;
const largest = {
  rows,
  longest,
  tokens,
  labelled: Number(options.labelled ?? tokens),
  meanTokens: Number(options['mean-tokens'] ?? tokens),
};
const given = options.form === undefined ? undefined : (JSON.parse(options.form) as PlanForm);
const { engine, memory } = await createEngine(config, setup, largest, given);
const optimizer = adamw(engine.parameters);

function peakBytes(): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;
}

async function step(batch: Batch, number: number): Promise<number> {
  const sequences = batch.ids.map((ids, row) => ({
    inputIds: Int32Array.from(ids),
    labels: Int32Array.from(batch.labels[row]!),
    row,
  }));
  for (const { gradient } of engine.parameters) gradient.fill(0);
  const { lossSum, weightSum } = await engine.accumulate(sequences, { seed: 1, step: number, microBatch: 0 });
  const norm = globalGradientNorm(engine.parameters) / weightSum;
  optimizer.step(1e-4, clipFactor(norm, 1) / weightSum);
  return lossSum / weightSum;
}

const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);
const trainedParameters = engine.parameters.reduce((sum, { data }) => sum + data.length, 0);
say({ ready: true, trainedParameters, form: memory.form, plannedPeakBytes: memory.peak });
let number = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as { do: string; batch: Batch };
  if (request.do === 'quit') break;
  const start = performance.now();
  const loss = await step(request.batch, number++);
  say({ seconds: (performance.now() - start) / 1000, loss, peakBytes: peakBytes() });
}
await engine.release();
process.exit(0);
