/** A recorded case as a model folder on disk, its rows as sequences, and its tuning methods. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ModelFolder, openModelFolder } from '../../src/checkpoint/index.ts';
import type { Sequence } from '../../src/data/index.ts';
import { adamw, clipFactor, globalGradientNorm, schedule } from '../../src/optim/index.ts';
import { type ModelConfigJson, tinyWeight, writeTinyModel } from '../../src/testing/index.ts';
import type { TrainEngine } from '../../src/train/engine.ts';
import {
  loraMethod,
  type LoraMethodSettings,
  loraScale,
  targetModules,
  type TuningMethod,
} from '../../src/tuning/index.ts';
import type { GoldenRow, ParityGolden } from './parity-golden.ts';

/** Compile options of all tests: one thread, since the models are tiny. */
export const testCompileOptions = { device: 'cpu', threads: 1 } as const;

/** Writes the case's model (with its config in either form) into a temporary folder and opens it. */
export async function openTinyModel(golden: ParityGolden, config: ModelConfigJson): Promise<ModelFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'fettle-parity-'));
  const { seed, shapes } = golden.weights;
  await writeTinyModel(folder, { config, seed, shapes: new Map(Object.entries(shapes)), shards: golden.shards });
  return openModelFolder(folder);
}

/** Removes what `openTinyModel` wrote. */
export async function removeTinyModel(opened: ModelFolder): Promise<void> {
  await rm(opened.folder, { recursive: true, force: true });
}

/** Recorded rows as the trainer gets them. */
export function toSequences(rows: readonly GoldenRow[]): Sequence[] {
  return rows.map(({ ids, labels }, row) => ({
    inputIds: Int32Array.from(ids),
    labels: Int32Array.from(labels),
    row,
  }));
}

/** The case's LoRA settings as a tuning method. */
export function recordedLora(
  opened: ModelFolder,
  golden: ParityGolden,
  more: Partial<Pick<LoraMethodSettings, 'savedModules' | 'tokenRows' | 'dropout'>> = {},
): TuningMethod {
  const { r, lora_alpha, target_modules, use_rslora } = golden.lora;
  const targets = typeof target_modules === 'string' ? [target_modules] : target_modules;
  return loraMethod(opened.model, opened.stored, {
    dropout: 0,
    modules: targetModules(opened.model, targets).map((module) => ({
      ...module,
      rank: r,
      scale: loraScale(r, lora_alpha, use_rslora ?? false),
    })),
    savedModules: [],
    ...more,
  });
}

/** The generated adapter that the recorded runs start from: A and B both not zero. */
export function adapterValues(method: TuningMethod, seed: number): Map<string, Float32Array> {
  return new Map(
    method.trainables
      .filter(({ name }) => name.includes('.lora_'))
      .map(({ name, shape }) => [name, tinyWeight(seed, name, shape)]),
  );
}

/** Mean loss of one batch, its gradients left in the engine divided by the trained tokens. */
export async function meanGradients(engine: TrainEngine, batch: readonly Sequence[]) {
  for (const { gradient } of engine.parameters) gradient.fill(0);
  const { lossSum, weightSum } = await engine.accumulate(batch, { seed: 1, step: 0, microBatch: 0 });
  for (const { gradient } of engine.parameters) {
    for (let i = 0; i < gradient.length; i++) gradient[i]! /= weightSum;
  }
  return { loss: lossSum / weightSum, trainedTokens: weightSum };
}

/** The recorded fifty steps: returns the loss of each step. */
export async function trainAsRecorded(
  engine: TrainEngine,
  golden: ParityGolden,
  decays?: (name: string) => boolean,
): Promise<{ losses: number[]; gradNorms: number[] }> {
  const { optimiser, steps, batches } = golden.training!;
  const optimizer = adamw(engine.parameters, {
    beta1: optimiser.betas[0],
    beta2: optimiser.betas[1],
    epsilon: optimiser.eps,
    weightDecay: optimiser.weight_decay,
    ...(decays === undefined ? {} : { decays }),
  });
  const rate = schedule('linear', { learningRate: optimiser.learning_rate, warmupSteps: 0, totalSteps: steps });
  const sequences = batches.map(toSequences);
  const losses: number[] = [];
  const gradNorms: number[] = [];
  for (let step = 0; step < steps; step++) {
    losses.push((await meanGradients(engine, sequences[step % sequences.length]!)).loss);
    const norm = globalGradientNorm(engine.parameters);
    gradNorms.push(norm);
    optimizer.step(rate(step), clipFactor(norm, optimiser.max_grad_norm));
  }
  return { losses, gradNorms };
}
