import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readParityGolden } from '../../test/support/parity-golden.ts';
import { openTinyModel, removeTinyModel } from '../../test/support/parity-model.ts';
import type { ModelFolder } from '../checkpoint/index.ts';
import { configFromOptions } from '../config/index.ts';
import { prepareTuning } from './create-engine.ts';
import type { TrainEngine } from './engine.ts';

let opened: ModelFolder;
let target: string;
beforeAll(async () => {
  const golden = readParityGolden('gpt2');
  opened = await openTinyModel(golden, golden.config);
  target = await mkdtemp(join(tmpdir(), 'fettle-adapter-'));
});
afterAll(async () => {
  await removeTinyModel(opened);
  await rm(target, { recursive: true, force: true });
});

it('an adapter on weights stored [in, out] says so to PEFT', async () => {
  const { config } = configFromOptions({ modelNameOrPath: opened.folder, loraTarget: ['c_attn'], loraRank: 2 });
  const { method, save } = await prepareTuning(config, () => false);
  const parameters = method.trainables.map(({ name, shape }) => {
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    return { name, shape, data, gradient: data };
  });
  await save(target, { parameters } as unknown as TrainEngine);
  const written = JSON.parse(await readFile(join(target, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
  expect(written).toMatchObject({ fan_in_fan_out: true, target_modules: ['c_attn'] });
});
