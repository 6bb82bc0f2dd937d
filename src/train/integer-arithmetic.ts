/**
 * Engines whose products with frozen weights are taken in integers (`compute`): the kernels are asked whether they are exact, and
 * the user's own first batch tells how far loss and gradient are from those of f32.
 */
import { cpus } from 'node:os';
import type { FettleConfig } from '../config/index.ts';
import { UnsupportedError } from '../errors.ts';
import type { PlanEntry } from '../run/index.ts';
import { takesIntegerProductsExactly } from '../runtime/index.ts';
import type { TrainBatch } from './batch-source.ts';
import { createEngine, type CreatedEngine, fittingPlan, referenceConfig, type TuningSetup } from './create-engine.ts';
import type { LossSums, TrainEngine } from './engine.ts';
import type { BatchSize } from './memory-plan.ts';
import type { PlanForm } from './plan-form.ts';

/** How far arithmetic in integers is from f32 on one batch. */
export interface ArithmeticError {
  /** Mean losses over the batch's trained tokens. */
  readonly loss: number;
  readonly exactLoss: number;
  /** Cosine between the two gradients of all that moves. */
  readonly cosine: number;
}

/** Loss and gradient of a batch; the engine's gradients are zero again afterwards. */
async function gradientOf(
  engine: TrainEngine,
  batch: TrainBatch,
  seed: number,
): Promise<LossSums & { readonly gradients: readonly Float32Array[] }> {
  const sums = await engine.accumulate(batch.sequences, { seed, step: 0, microBatch: 0 });
  const gradients = engine.parameters.map(({ gradient }) => gradient.slice());
  for (const { gradient } of engine.parameters) gradient.fill(0);
  return { ...sums, gradients };
}

/** Cosine of the angle between two lists of vectors, each list taken as one vector. */
export function cosine(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  let [product, squareA, squareB] = [0, 0, 0];
  a.forEach((values, k) => {
    const others = b[k]!;
    for (let i = 0; i < values.length; i++) {
      product += values[i]! * others[i]!;
      squareA += values[i]! ** 2;
      squareB += others[i]! ** 2;
    }
  });
  return product / Math.sqrt(squareA * squareB);
}

/**
 * Makes the engine as `createEngine`; where it computes in integers, with its error on `batch`. The same step in f32 runs before it, in
 * segments and with an engine of its own, so that its memory is free again.
 * @param form the form that a continued run keeps
 * @throws UnsupportedError `integer-kernels`; ConfigError `memory-too-small`, `resume-needs-memory`.
 */
export async function createMeasuredEngine(
  config: FettleConfig,
  setup: TuningSetup,
  largest: BatchSize,
  batch: () => TrainBatch | Promise<TrainBatch>,
  form?: PlanForm,
): Promise<CreatedEngine & { readonly error?: ArithmeticError }> {
  const { reference } = setup;
  if (!reference) return createEngine(config, setup, largest, form);
  fittingPlan(config, setup, largest, form);
  if (!(await takesIntegerProductsExactly())) {
    throw new UnsupportedError('integer-kernels', {
      compute: config.compute,
      processor: cpus()[0]?.model ?? 'this processor',
    });
  }
  const first = await batch();
  const { engine } = await createEngine(referenceConfig(config), reference, largest);
  let expected: Awaited<ReturnType<typeof gradientOf>>;
  try {
    expected = await gradientOf(engine, first, config.seed);
  } finally {
    await engine.release();
  }
  const created = await createEngine(config, setup, largest, form);
  if (expected.weightSum === 0) return created;
  const { lossSum, weightSum, gradients } = await gradientOf(created.engine, first, config.seed);
  const error = {
    loss: lossSum / weightSum,
    exactLoss: expected.lossSum / weightSum,
    cosine: cosine(gradients, expected.gradients),
  };
  return { ...created, error };
}

/** The error as the plan of a run tells it. */
export function arithmeticEntries(compute: string, { loss, exactLoss, cosine: own }: ArithmeticError): PlanEntry[] {
  return [
    { name: 'compute', value: compute },
    { name: 'compute_loss_error_share', value: Math.abs(loss / exactLoss - 1) },
    { name: 'compute_gradient_cosine', value: own },
  ];
}
