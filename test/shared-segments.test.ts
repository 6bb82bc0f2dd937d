/** Segments whose equal layers share programs give what one program gives, whatever their weights are stored in. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { openModelFolder, type Quantization } from '../src/checkpoint/index.ts';
import { relativeDifference, writeTinyModel } from '../src/testing/index.ts';
import { createGraphEngine } from '../src/train/graph-engine.ts';
import type { PlanForm } from '../src/train/plan-form.ts';
import { takesReadWeights } from '../src/train/shared-program.ts';
import { segmentBodies } from '../src/train/segments.ts';
import { loraMethod, targetModules } from '../src/tuning/index.ts';
import { adapterValues, meanGradients, testCompileOptions } from './support/parity-model.ts';

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'fettle-shared-'));
  vi.stubEnv('FETTLE_CACHE', join(work, 'cache'));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(work, { recursive: true, force: true });
});

const config = {
  model_type: 'llama',
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 5,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 61,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  tie_word_embeddings: false,
  hidden_act: 'silu',
};
const ids = Int32Array.from({ length: 20 }, (_, i) => (i * 7) % config.vocab_size);
const nf4: Quantization = { bits: 4, type: 'nf4', doubleQuantization: true };

it.each([
  ['BF16', undefined],
  ['F16', undefined],
  ['BF16', nf4],
] as const)('%s %o', async (dtype, quantization) => {
  const folder = join(work, dtype);
  await writeTinyModel(folder, { config, seed: 3, dtype });
  const opened = await openModelFolder(folder, quantization);
  const method = loraMethod(opened.model, opened.stored, {
    dropout: 0,
    modules: targetModules(opened.model, ['all']).map((module) => ({ ...module, rank: 2, scale: 2 })),
    savedModules: [],
    tokenRows: { embedding: [], output: [], newIds: [] },
  });
  const layers = segmentBodies(opened.model, method, 1).slice(1, -1);
  expect(layers.every(({ end }) => takesReadWeights([end]))).toBe(true);
  const gradients = async (plan: PlanForm): Promise<ReadonlyMap<string, Float32Array>> => {
    const values = adapterValues(method, 7);
    const engine = await createGraphEngine(opened, method, { ...testCompileOptions, plan, seed: 1, values });
    try {
      await meanGradients(engine, [{ inputIds: ids, labels: ids, row: 0 }]);
      return new Map(engine.parameters.map(({ name, gradient }) => [name, gradient.slice()]));
    } finally {
      await engine.release();
    }
  };
  const whole = await gradients({ kind: 'whole' });
  for (const tokensAtOnce of [undefined, 8]) {
    const segmented = await gradients({ kind: 'segmented', layersPerSegment: 1, tokensAtOnce });
    const worst = Math.max(...[...whole].map(([name, values]) => relativeDifference(segmented.get(name)!, values)));
    expect(worst).toBeLessThan(1e-5);
  }
});
