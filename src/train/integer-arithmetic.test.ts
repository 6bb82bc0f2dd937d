/** Steps whose products with frozen weights are taken in integers, against steps in f32 on a tiny model. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { readParityGolden } from '../../test/support/parity-golden.ts';
import {
  adapterValues,
  meanGradients,
  openTinyModel,
  recordedLora,
  removeTinyModel,
  testCompileOptions,
  toSequences,
} from '../../test/support/parity-model.ts';
import { type IntegerForm, type ModelFolder, openModelFolder } from '../checkpoint/index.ts';
import { configFromOptions } from '../config/index.ts';
import { takesIntegerProductsExactly } from '../runtime/index.ts';
import { prepareTuning } from './create-engine.ts';
import { createGraphEngine } from './graph-engine.ts';
import { cosine, createMeasuredEngine } from './integer-arithmetic.ts';
import type { PlanForm } from './plan-form.ts';

const golden = readParityGolden('llama');
const rows = toSequences(golden.rows);
const size = {
  rows: rows.length,
  longest: Math.max(...rows.map(({ inputIds }) => inputIds.length)),
  tokens: rows.reduce((sum, { inputIds }) => sum + inputIds.length, 0),
  labelled: rows.reduce((sum, { inputIds }) => sum + inputIds.length, 0),
};
const isExact = await takesIntegerProductsExactly();
const reason = isExact ? '' : ' (skipped: the kernels of this processor overflow)';

let floats: ModelFolder;
beforeAll(async () => {
  floats = await openTinyModel(golden, golden.config);
  vi.stubEnv('FETTLE_CACHE', `${floats.folder}/cache`);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await removeTinyModel(floats);
});

async function stepOf(form: IntegerForm | undefined, plan: PlanForm) {
  const folder = form ? await openModelFolder(floats.folder, undefined, form) : floats;
  const method = recordedLora(folder, golden);
  const values = adapterValues(method, golden.weights.seed);
  const engine = await createGraphEngine(folder, method, { ...testCompileOptions, plan, seed: 1, values });
  const { loss } = await meanGradients(engine, rows);
  const evaluated = await engine.evaluate(rows);
  await engine.release();
  return {
    loss,
    evaluated: evaluated.lossSum / evaluated.weightSum,
    gradients: engine.parameters.map(({ gradient }) => gradient),
  };
}

const whole: PlanForm = { kind: 'whole' };
const segmented: PlanForm = { kind: 'segmented', layersPerSegment: 1 };

describe.skipIf(!isExact)(`steps in integers${reason}`, () => {
  it('are near f32, the careful form nearer, and equal in both plans', async () => {
    const exact = await stepOf(undefined, whole);
    const errors: number[] = [];
    for (const [form, most, least] of [
      ['int8_careful', 2e-4, 0.995],
      ['int8', 2e-3, 0.99],
    ] as const) {
      const one = await stepOf(form, whole);
      const other = await stepOf(form, segmented);
      const error = Math.abs(one.loss / exact.loss - 1);
      errors.push(1 - cosine(one.gradients, exact.gradients));
      expect(error).toBeGreaterThan(0);
      expect(error).toBeLessThan(most);
      expect(cosine(one.gradients, exact.gradients)).toBeGreaterThan(least);
      expect(Math.abs(one.loss / other.loss - 1)).toBeLessThan(1e-5);
      expect(Math.abs(one.evaluated / one.loss - 1)).toBeLessThan(1e-6);
      // rounding to bytes may fall otherwise where a sum differs in its last bit
      expect(cosine(one.gradients, other.gradients)).toBeGreaterThan(0.9999);
    }
    expect(errors[0]).toBeLessThan(errors[1]!);
  });

  it('tell their error on the first batch, and leave nothing behind in the gradients', async () => {
    const { config } = configFromOptions({ modelNameOrPath: floats.folder, compute: 'int8', loraRank: 2, threads: 1 });
    const setup = await prepareTuning(config, () => false);
    const { engine, error } = await createMeasuredEngine(config, setup, size, () => ({ sequences: rows, samples: 2 }));
    expect(Math.abs(error!.loss / error!.exactLoss - 1)).toBeLessThan(2e-3);
    expect(error!.cosine).toBeGreaterThan(0.98);
    expect(error!.cosine).toBeLessThan(1);
    expect(engine.parameters.every(({ gradient }) => gradient.every((value) => value === 0))).toBe(true);
    await engine.release();
  });
});

it('f32 has no error to tell', async () => {
  const { config } = configFromOptions({ modelNameOrPath: floats.folder, loraRank: 2, threads: 1 });
  const setup = await prepareTuning(config, () => false);
  const created = await createMeasuredEngine(config, setup, size, () => {
    throw new Error('no batch is needed');
  });
  expect(created.error).toBeUndefined();
  await created.engine.release();
});

it('weights stored [in, out] are refused with the key', async () => {
  const recorded = readParityGolden('gpt2');
  const opened = await openTinyModel(recorded, recorded.config);
  await expect(openModelFolder(opened.folder, undefined, 'int8')).rejects.toMatchObject({
    code: 'quantization-transposed',
    fields: { key: 'compute' },
  });
  await removeTinyModel(opened);
});
