import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readParityGolden } from '../../test/support/parity-golden.ts';
import { readModel } from '../models/index.ts';
import { writeTinyModel } from '../testing/index.ts';
import { fitAdapter, openModelFolder, openWeights } from './index.ts';

const published = fileURLToPath(new URL('../../../shared/data/adapters/gpt2-kto-hh-lora/', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-gpt2-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('GPT-2', () => {
  it.skipIf(!existsSync(published))('a published adapter fits (shared data absent: skipped)', async () => {
    const model = readModel('config.json', { model_type: 'gpt2' });
    const { modules, config } = await fitAdapter(published, model);
    expect(modules).toHaveLength(12);
    expect(modules[0]).toMatchObject({
      name: 'transformer.h.0.attn.c_attn',
      inputs: 768,
      outputs: 2304,
      transposed: true,
    });
    expect(config.fanInFanOut).toBe(true);
  });

  it("opens OpenAI's files, whose names lack the base model's", async () => {
    const { config, weights } = readParityGolden('gpt2');
    const short = (name: string): string => name.replace('transformer.', '');
    await writeTinyModel(folder, {
      config,
      seed: weights.seed,
      shapes: new Map(Object.entries(weights.shapes).map(([name, shape]) => [short(name), shape])),
    });
    const opened = await openModelFolder(folder);
    expect([...opened.stored.keys()].toSorted()).toEqual(Object.keys(weights.shapes).toSorted());
    expect((await openWeights(opened))('transformer.wpe.weight')).toMatchObject({ name: 'wpe.weight' });
  });
});
