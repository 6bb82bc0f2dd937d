import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { relativeDifference } from '../testing/index.ts';
import { parityCases, readParityGolden } from '../../test/support/parity-golden.ts';
import {
  adapterValues,
  meanGradients,
  openTinyModel,
  recordedLora,
  removeTinyModel,
  testCompileOptions,
  toSequences,
} from '../../test/support/parity-model.ts';
import { float32 } from '../runtime/index.ts';
import { createGraphEngine } from './graph-engine.ts';
import { keepInputs } from './kept-inputs.ts';
import type { KeptIn } from './plan-form.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-kept-'));
  vi.stubEnv('FETTLE_CACHE', folder);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

it('gives back what was put last, from memory and from a file that leaves nothing behind', async () => {
  for (const keptIn of ['memory', 'disk', 'bfloat16'] as const) {
    const pile = keepInputs(keptIn);
    pile.put(float32(Float32Array.of(1, 2.5, -3), [3, 1]));
    pile.put(float32(Float32Array.of(4, 5), [1, 2]));
    expect(pile.take()).toMatchObject({ shape: [1, 2], data: Float32Array.of(4, 5) });
    pile.put(float32(Float32Array.of(7, 8, 9, 10), [2, 2]));
    expect(pile.take().data).toEqual(Float32Array.of(7, 8, 9, 10));
    expect(pile.take()).toMatchObject({ shape: [3, 1], data: Float32Array.of(1, 2.5, -3) });
    pile.close();
  }
  expect(await readdir(join(folder, 'kept'))).toEqual([]);
});

it.each(['llama-grouped-tied', 'gpt2-scaled'].filter((name) => parityCases().includes(name)))(
  '%s: on disk gradients are the same; in bf16 they move by less than a hundredth',
  async (name) => {
    const golden = readParityGolden(name);
    const opened = await openTinyModel(golden, golden.config);
    const gradientsWith = async (keptIn: KeptIn): Promise<Float32Array[]> => {
      const method = recordedLora(opened, golden);
      const engine = await createGraphEngine(opened, method, {
        ...testCompileOptions,
        plan: { kind: 'segmented', layersPerSegment: 1, keptIn },
        seed: 1,
        values: adapterValues(method, golden.weights.seed),
      });
      await meanGradients(engine, toSequences(golden.rows));
      await engine.release();
      return engine.parameters.map(({ gradient }) => gradient);
    };
    const exact = await gradientsWith('memory');
    expect(await gradientsWith('disk')).toEqual(exact);
    const rounded = await gradientsWith('bfloat16');
    const worst = Math.max(...rounded.map((gradient, i) => relativeDifference(gradient, exact[i]!)));
    expect(worst).toBeGreaterThan(1e-5);
    expect(worst).toBeLessThan(0.01);
    await removeTinyModel(opened);
  },
);
