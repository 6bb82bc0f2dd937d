/** What an evaluation needs is planned, and bounded by what training takes at a time. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openModelFolder, type ModelFolder } from '../checkpoint/index.ts';
import type { SampleSet, Sequence } from '../data/index.ts';
import { writeTinyModel } from '../testing/index.ts';
import { loraMethod, targetModules, type TuningMethod } from '../tuning/index.ts';
import { createGraphEngine } from './graph-engine.ts';
import { memoryOf } from './memory-plan.ts';
import type { PlanForm } from './plan-form.ts';
import { plannedBatch } from './trainer-tools.ts';

let root: string;
let folder: ModelFolder;
let method: TuningMethod;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fettle-evaluation-'));
  await writeTinyModel(root, {
    seed: 1,
    config: {
      model_type: 'llama',
      vocab_size: 512,
      hidden_size: 32,
      intermediate_size: 80,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      max_position_embeddings: 4096,
      rms_norm_eps: 1e-5,
      tie_word_embeddings: true,
    },
  });
  folder = await openModelFolder(root);
  method = loraMethod(folder.model, folder.stored, {
    dropout: 0,
    modules: targetModules(folder.model, ['all']).map((module) => ({ ...module, rank: 4, scale: 1 })),
    savedModules: [],
  });
});
afterAll(() => rm(root, { recursive: true, force: true }));

const sequence = (length: number, row: number): Sequence => {
  const inputIds = Int32Array.from({ length }, (_, i) => (7 * i + row) % 512);
  return { inputIds, labels: inputIds, row };
};
const samples = (lengths: readonly number[]): SampleSet =>
  ({
    size: lengths.length,
    lengths: Uint32Array.from(lengths),
    sample: (index: number) => [sequence(lengths[index]!, index)],
  }) as unknown as SampleSet;
const sizes = { per_device_train_batch_size: 2, per_device_eval_batch_size: 8 };
const evaluationOf = (train: readonly number[], evaluation: readonly number[]) =>
  plannedBatch({ train: samples(train), evaluation: [{ name: 'eval', samples: samples(evaluation) }] }, sizes);

it('takes no more tokens at a time than training, but for longer samples and very small batches', () => {
  const many = Array.from({ length: 20 }, () => 900);
  expect(evaluationOf([900, 900, 10], many)).toMatchObject({ tokens: 1800, evaluation: { rows: 8, tokens: 1800 } });
  expect(evaluationOf([30, 20], many).evaluation?.tokens).toBe(1024);
  expect(evaluationOf([30, 20], [3000, 10]).evaluation?.tokens).toBe(3000);
  expect(evaluationOf([30, 20], [40, 10]).evaluation?.tokens).toBe(50);
});

it.each([{ kind: 'whole' }, { kind: 'segmented', layersPerSegment: 1 }] as const)(
  'counts in the plan: $kind',
  (form: PlanForm) => {
    const batch = { rows: 1, longest: 64, tokens: 64, labelled: 32 };
    const peak = (tokens?: number): number => {
      const evaluation = tokens === undefined ? undefined : { rows: 1, longest: tokens, tokens, labelled: tokens };
      return memoryOf(folder.model, method, { ...batch, evaluation }, 8, form).peak;
    };
    expect(peak(64)).toBeGreaterThanOrEqual(peak());
    expect(peak(4096)).toBeGreaterThan(peak(64) + 4096 * 512 * 4);
  },
);

it('gives the same loss in parts as at once', async () => {
  const batch = [40, 25, 90, 3, 17].map(sequence);
  const evaluate = async (evaluatedAtOnce?: number): Promise<number> => {
    const options = { device: 'cpu', threads: 1, plan: { kind: 'whole' }, seed: 1, evaluatedAtOnce } as const;
    const engine = await createGraphEngine(folder, method, options);
    const { lossSum, weightSum } = await engine.evaluate(batch);
    await engine.release();
    expect(weightSum).toBe(175 - 5);
    return lossSum / weightSum;
  };
  const [whole, parts] = [await evaluate(), await evaluate(50)];
  expect(Math.abs(parts / whole - 1)).toBeLessThan(1e-5);
});
