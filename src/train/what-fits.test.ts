import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { configFromOptions, type FettleOptions } from '../config/index.ts';
import { writeTinyModel } from '../testing/index.ts';
import { fittingPlan, planMemory, prepareTuning, type TuningSetup } from './create-engine.ts';
import type { BatchSize } from './memory-plan.ts';
import { describeForm } from './plan-form.ts';
import { fullBatch } from './what-fits.ts';

let folder: string;
let setup: TuningSetup;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-fits-'));
  await writeTinyModel(folder, {
    seed: 1,
    config: {
      model_type: 'llama',
      vocab_size: 8192,
      hidden_size: 64,
      intermediate_size: 160,
      num_hidden_layers: 6,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      max_position_embeddings: 65_536,
      rms_norm_eps: 1e-5,
      tie_word_embeddings: true,
    },
  });
  setup = await prepareTuning(configOf({}), () => false);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const configOf = (options: FettleOptions) =>
  configFromOptions({ modelNameOrPath: folder, loraRank: 4, threads: 1, ...options }).config;
const peak = (memoryLimit: number, rows: number, longest: number, more: FettleOptions = {}) =>
  planMemory(configOf({ memoryLimit, ...more }), setup, fullBatch(rows, longest, 1)).peak;

it('takes the coarsest form that fits, and finer ones as the limit falls', () => {
  const batch = fullBatch(4, 2048, 1);
  const seen: string[] = [];
  for (let limit = 4e9; limit > 1e8; limit *= 0.97) {
    const plan = planMemory(configOf({ memoryLimit: Math.round(limit) }), setup, batch);
    if (plan.peak > limit) break;
    const { step_plan: step, output_layer: output, layer_inputs: inputs } = describeForm(plan.form);
    const text = [step, output, inputs].join(', ');
    if (seen.at(-1) !== text) seen.push(text);
  }
  expect(seen[0]).toBe('whole, at once, none');
  expect(seen).toContain('segmented, in stretches, memory');
  expect(seen.at(-1)).toBe('segmented, in stretches, disk');
});

it('refuses with settings that fit, and no larger ones', () => {
  const limit = 350_000_000;
  const config = configOf({ memoryLimit: limit });
  let fields: Record<string, number | boolean> = {};
  try {
    fittingPlan(config, setup, fullBatch(8, 32_768, 1));
  } catch (error) {
    fields = (error as { fields: typeof fields }).fields;
  }
  const { longestThatFits, largestBatch } = fields as { longestThatFits: number; largestBatch: number };
  expect(longestThatFits).toBeGreaterThan(0);
  expect(peak(limit, 8, longestThatFits)).toBeLessThanOrEqual(limit);
  expect(peak(limit, 8, longestThatFits + 1)).toBeGreaterThan(limit);
  if (largestBatch > 0) expect(peak(limit, largestBatch, 32_768)).toBeLessThanOrEqual(limit);
  expect(peak(limit, largestBatch + 1, 32_768)).toBeGreaterThan(limit);
  const whole = { gradientCheckpointing: false };
  expect(() => fittingPlan(configOf({ memoryLimit: limit, ...whole }), setup, fullBatch(8, 1024, 1))).toThrow(
    'gradient_checkpointing: true',
  );
});

it('counts what is packed in packs: the settings that it names fit', () => {
  const packed = (samples: number, length: number, mostRows = 44) => {
    const rows = Math.ceil((330 * samples * length) / (8 * 2048));
    const tokens = samples * length;
    return { rows, longest: 70, tokens, labelled: tokens / 2, packs: { count: samples, mostRows } };
  };
  const limit = 240_000_000;
  const config = configOf({ memoryLimit: limit, packing: true, cutoffLen: 2048, perDeviceTrainBatchSize: 8 });
  const peakOf = (batch: BatchSize) => planMemory(config, setup, batch).peak;
  const batch = packed(8, 2048);
  expect(peakOf(batch)).toBeGreaterThan(limit);
  let fields: Record<string, number> = {};
  try {
    fittingPlan(config, setup, batch);
  } catch (error) {
    fields = (error as { fields: typeof fields }).fields;
  }
  const { longestThatFits: longest, largestBatch: most } = fields as Record<'longestThatFits' | 'largestBatch', number>;
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThan(8);
  expect(peakOf(packed(most, 2048))).toBeLessThanOrEqual(limit);
  expect(longest).toBeLessThan(2048);
  expect(peakOf(packed(8, longest))).toBeLessThanOrEqual(limit);
  expect(peakOf(packed(8, longest + 1))).toBeGreaterThan(limit);
});

it('counts what is evaluated on: its advice fits with it, and names it where it is what does not fit', () => {
  const limit = 300_000_000;
  const config = configOf({ memoryLimit: limit, perDeviceEvalBatchSize: 64 });
  const fieldsOf = (batch: BatchSize): Record<string, number | undefined> => {
    try {
      fittingPlan(config, setup, batch);
    } catch (error) {
      return (error as { fields: Record<string, number> }).fields;
    }
    throw new Error('the batch fits');
  };
  const evaluated = { ...fullBatch(4, 1024, 1), evaluation: fullBatch(64, 16_384, 1) };
  const fields = fieldsOf(evaluated);
  expect(fields['evaluationRows']).toBe(64);
  expect(fields['largestBatch']).toBe(0);
  const large = { ...fullBatch(64, 16_384, 1), evaluation: fullBatch(8, 4096, 1), meanTokens: 8 * 16_384 };
  const { largestBatch, evaluationRows } = fieldsOf(large);
  expect(evaluationRows).toBeUndefined();
  expect(largestBatch).toBeGreaterThan(0);
  expect(largestBatch).toBeLessThan(64);
  const advised = {
    ...fullBatch(largestBatch!, 16_384, 1),
    evaluation: large.evaluation,
    meanTokens: (largestBatch! * 16_384) / 8,
  };
  expect(planMemory(config, setup, advised).peak).toBeLessThanOrEqual(limit);
});
