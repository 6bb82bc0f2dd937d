/** Steps of one configuration in a process of its own: what the memory plan says, and what the process then took. */
import { readFileSync } from 'node:fs';
import { type IntegerForm, openModelFolder, type Quantization } from '../../src/checkpoint/index.ts';
import { adamw, clipFactor, globalGradientNorm } from '../../src/optim/index.ts';
import { createGraphEngine } from '../../src/train/graph-engine.ts';
import { memoryOf } from '../../src/train/memory-plan.ts';
import type { PlanForm } from '../../src/train/plan-form.ts';
import { runTrainer } from '../../src/train/trainer.ts';
import { trainerTools } from '../../src/train/trainer-tools.ts';
import { fullMethod, loraMethod, targetModules } from '../../src/tuning/index.ts';
import { hashKey, mix32 } from '../../src/util/index.ts';

/** What is measured. */
export interface PlanCase {
  readonly model: string;
  readonly quantization?: Quantization;
  readonly compute?: IntegerForm;
  readonly tuning: 'lora' | 'full';
  readonly rows: number;
  readonly length: number;
  /** Of the tokens of a row, those that are trained. */
  readonly labelled: number;
  readonly form: PlanForm;
  readonly steps: number;
}

const { model, quantization, compute, tuning, rows, length, labelled, form, steps } = JSON.parse(
  process.argv[2]!,
) as PlanCase;

// a trainer process has all this loaded too
void [runTrainer, trainerTools()];
const folder = await openModelFolder(model, quantization, compute);
const method =
  tuning === 'full'
    ? fullMethod(folder.model, folder.stored)
    : loraMethod(folder.model, folder.stored, {
        dropout: 0,
        modules: targetModules(folder.model, ['all'])
          .filter(({ name }) => name !== folder.model.outputModule)
          .map((module) => ({ ...module, rank: 16, scale: 2 })),
        savedModules: [],
      });
const batch = { rows, longest: length, tokens: rows * length, labelled: rows * labelled };
const planned = memoryOf(folder.model, method, batch, 8, form);
const engine = await createGraphEngine(folder, method, {
  device: 'cpu',
  threads: 2,
  plan: form,
  seed: 1,
  longest: length,
});
const optimizer = adamw(engine.parameters);
const start = performance.now();
const peaks: number[] = [];
for (let step = 0; step < steps; step++) {
  const sequences = Array.from({ length: rows }, (_, row) => {
    const key = hashKey('plan', step, row);
    const ids = Int32Array.from({ length }, (__, t) => mix32(key, t) % folder.model.vocabularySize);
    return { inputIds: ids, labels: ids.map((id, t) => (t < length - labelled ? -100 : id)), row };
  });
  for (const { gradient } of engine.parameters) gradient.fill(0);
  const { weightSum } = await engine.accumulate(sequences, { seed: 1, step, microBatch: 0 });
  const norm = globalGradientNorm(engine.parameters) / weightSum;
  optimizer.step(1e-4, clipFactor(norm, 1) / weightSum);
  peaks.push(peakBytes());
}
const seconds = (performance.now() - start) / 1000 / steps;
process.stdout.write(`${JSON.stringify({ planned, peaks, seconds })}\n`);
process.exit(0);

function peakBytes(): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;
}
