/**
 * One whole QLoRA step in a process of its own: opening the model, forward, loss, backward, gradient norm, clipping, AdamW. Says
 * what was planned and what it took, as JSON lines. The plan is the one that training would choose for the memory limit.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openModelFolder } from '../../src/checkpoint/index.ts';
import { adamw, clipFactor, globalGradientNorm } from '../../src/optim/index.ts';
import { createGraphEngine } from '../../src/train/graph-engine.ts';
import { choosePlan } from '../../src/train/choose-plan.ts';
import type { PlanForm } from '../../src/train/plan-form.ts';
import { loraMethod, targetModules } from '../../src/tuning/index.ts';
import { hashKey, mix32 } from '../../src/util/index.ts';

const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    tokens: { type: 'string', default: '512' },
    /** GB; left out: the form that `form` gives. */
    'memory-limit': { type: 'string' },
    /** A plan's form as JSON. */
    form: { type: 'string' },
    rank: { type: 'string', default: '16' },
    threads: { type: 'string', default: '2' },
    steps: { type: 'string', default: '1' },
  },
});

const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);

function statusBytes(key: string): number {
  return Number(new RegExp(`${key}:\\s+(\\d+) kB`).exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;
}

function readBytes(): number {
  return Number(/read_bytes: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))![1]);
}

const folder = await openModelFolder(options.model!);
const rank = Number(options.rank);
const tokens = Number(options.tokens);
const method = loraMethod(folder.model, folder.stored, {
  dropout: 0,
  modules: targetModules(folder.model, ['all'])
    .filter(({ name }) => name !== folder.model.outputModule)
    .map((module) => ({ ...module, rank, scale: 2 })),
  savedModules: [],
});
const batch = { rows: 1, longest: tokens, tokens, labelled: tokens - 1 };
const planned =
  options['memory-limit'] === undefined
    ? undefined
    : choosePlan(folder.model, method, batch, 8, Number(options['memory-limit']) * 1e9, undefined);
const form = planned?.form ?? (JSON.parse(options.form!) as PlanForm);
say({ form, ...(planned ? { planned } : {}) });
const engine = await createGraphEngine(folder, method, {
  device: 'cpu',
  threads: Number(options.threads),
  plan: form,
  seed: 1,
});
const optimizer = adamw(engine.parameters);
const trainedParameters = engine.parameters.reduce((sum, { data }) => sum + data.length, 0);
say({ trainedParameters, startBytes: statusBytes('VmHWM') });
for (let step = 0; step < Number(options.steps); step++) {
  const ids = Int32Array.from(
    { length: tokens },
    (_, t) => mix32(hashKey('ids', step), t) % folder.model.vocabularySize,
  );
  for (const { gradient } of engine.parameters) gradient.fill(0);
  const before = readBytes();
  const start = performance.now();
  let last = 0;
  const { lossSum, weightSum } = await engine.accumulate(
    [{ inputIds: ids, labels: ids, row: 0 }],
    { seed: 1, step, microBatch: 0 },
    (fraction) => {
      if (fraction < last + 0.05) return;
      last = fraction;
      const seconds = (performance.now() - start) / 1000;
      process.stderr.write(
        `${(fraction * 100).toFixed(0)} % after ${seconds.toFixed(0)} s, ${(statusBytes('VmHWM') / 1e9).toFixed(2)} GB at most, ${(statusBytes('RssAnon') / 1e9).toFixed(2)} private now\n`,
      );
    },
  );
  const gradientNorm = globalGradientNorm(engine.parameters) / weightSum;
  optimizer.step(1e-4, clipFactor(gradientNorm, 1) / weightSum);
  say({
    step,
    seconds: (performance.now() - start) / 1000,
    loss: lossSum / weightSum,
    gradientNorm,
    peakBytes: statusBytes('VmHWM'),
    privateBytes: statusBytes('RssAnon'),
    diskReadBytes: readBytes() - before,
  });
}
await engine.release();
