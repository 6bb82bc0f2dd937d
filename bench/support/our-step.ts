/**
 * One training step of Fettle, for a driver that alternates it with another: the same protocol as bench/step/peer.py.
 * The step is what the training loop does: forward, loss, backward, gradient norm, clipping, AdamW.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { type IntegerForm, openModelFolder } from '../../src/checkpoint/index.ts';
import { adamw, clipFactor, globalGradientNorm } from '../../src/optim/index.ts';
import { createGraphEngine } from '../../src/train/graph-engine.ts';
import { choosePlan } from '../../src/train/choose-plan.ts';
import { memoryOf } from '../../src/train/memory-plan.ts';
import type { PlanForm } from '../../src/train/plan-form.ts';
import { loraMethod, targetModules } from '../../src/tuning/index.ts';
import type { Batch } from './step-process.ts';

const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    plan: { type: 'string', default: 'whole' },
    rank: { type: 'string', default: '16' },
    threads: { type: 'string', default: '2' },
    'layers-per-segment': { type: 'string', default: '1' },
    prepack: { type: 'boolean', default: false },
    longest: { type: 'string' },
    /** Bytes: the step takes the form that the memory plan chooses for `rows` rows of `longest` tokens. */
    'memory-limit': { type: 'string' },
    /** JSON: the step takes this form. */
    form: { type: 'string' },
    labelled: { type: 'string' },
    rows: { type: 'string', default: '1' },
    compute: { type: 'string', default: 'float32' },
  },
});

const form = options.compute === 'float32' ? undefined : (options.compute as IntegerForm);
const folder = await openModelFolder(options.model!, undefined, form);
const rank = Number(options.rank);
const method = loraMethod(folder.model, folder.stored, {
  dropout: 0,
  modules: targetModules(folder.model, ['all']).map((module) => ({ ...module, rank, scale: 2 })),
  savedModules: [],
});
const given: PlanForm =
  options.form !== undefined
    ? (JSON.parse(options.form) as PlanForm)
    : options.plan === 'segmented'
      ? { kind: 'segmented', layersPerSegment: Number(options['layers-per-segment']) }
      : { kind: 'whole' };
const rows = Number(options.rows);
const largest = {
  rows,
  longest: Number(options.longest),
  tokens: rows * Number(options.longest),
  labelled: Number(options.labelled),
};
const limit = options['memory-limit'];
/** Bytes that AdamW keeps for each value that moves. */
const optimizerBytes = 8;
const planned =
  options.form !== undefined
    ? memoryOf(folder.model, method, largest, optimizerBytes, given)
    : limit === undefined
      ? undefined
      : choosePlan(folder.model, method, largest, optimizerBytes, Number(limit), true);
const engine = await createGraphEngine(folder, method, {
  device: 'cpu',
  threads: Number(options.threads),
  ...(options.prepack ? { prepack: true } : {}),
  plan: planned?.form ?? given,
  seed: 1,
  ...(options.longest === undefined
    ? {}
    : { longest: Number(options.longest), meanTokens: Number(options.rows) * Number(options.longest) }),
});
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
say({ ready: true, trainedParameters, form: planned?.form, plannedPeakBytes: planned?.peak });
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
