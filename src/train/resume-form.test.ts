/** A run that goes on keeps the form of its steps, whatever memory is free by then. */
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { FettleOptions } from '../config/index.ts';
import { runPaths, readJsonLines } from '../run/index.ts';
import { writeTinyModel } from '../testing/index.ts';
import { trainHere } from './train-here.fixture.ts';
import { trainerTools } from './trainer-tools.ts';

const demo = (path: string): string => fileURLToPath(new URL(`../../assets/demo/${path}`, import.meta.url));
const tools = trainerTools();
let root: string;
let options: FettleOptions;
/** Bytes under which steps are one program, and segmented. */
const ample = 4e9;
let tight: number;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fettle-form-'));
  const model = join(root, 'model');
  await writeTinyModel(model, {
    seed: 1,
    config: {
      model_type: 'llama',
      vocab_size: 1536,
      hidden_size: 64,
      intermediate_size: 160,
      num_hidden_layers: 5,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      max_position_embeddings: 512,
      rms_norm_eps: 1e-5,
      tie_word_embeddings: true,
    },
  });
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(demo(`model/${name}`), join(model, name));
  options = {
    modelNameOrPath: model,
    datasetDir: demo('data'),
    dataset: ['sentiment_train'],
    maxSamples: 48,
    perDeviceTrainBatchSize: 24,
    gradientAccumulationSteps: 1,
    numTrainEpochs: 1,
    loraDropout: 0,
  };
  await run('whole', ample);
  expect(await planned('whole', 'step_plan')).toEqual(['whole']);
  tight = Math.round(((await planned('whole', 'peak_memory_bytes')) as number[])[0]! - 1e6);
}, 180_000);
afterAll(() => rm(root, { recursive: true, force: true }));

const run = (name: string, memoryLimit: number, stop = false) =>
  trainHere(join(root, name), { ...options, memoryLimit }, { tools, stopRequested: () => stop });
const adapter = (name: string): Promise<Buffer> => readFile(join(root, name, 'adapter_model.safetensors'));
/** An entry of the plans that a folder's starts told. */
async function planned(name: string, key: string): Promise<unknown[]> {
  const events = await readJsonLines(runPaths(join(root, name)).events);
  return events
    .filter(({ type }) => type === 'plan')
    .flatMap(({ entries }) => entries as { name: string; value: unknown }[])
    .filter(({ name: entry }) => entry === key)
    .map(({ value }) => value);
}

it('keeps it with more memory than before, and ends in the same bytes', async () => {
  await run('segmented', tight);
  expect((await run('continued', tight, true)).end.type).toBe('stopped');
  expect((await run('continued', ample)).end.type).toBe('done');
  expect(await planned('continued', 'step_plan')).toEqual(['segmented', 'segmented']);
  expect(await adapter('continued')).toEqual(await adapter('segmented'));
  // the form does count: else this test could not fail
  expect(await adapter('whole')).not.toEqual(await adapter('segmented'));
}, 180_000);

it('is refused with less than it needs, and goes on when there is enough again', async () => {
  expect((await run('refused', ample, true)).end.type).toBe('stopped');
  await expect(run('refused', tight)).rejects.toMatchObject({
    code: 'resume-needs-memory',
    message: expect.stringMatching(
      /^memory_limit: the run that goes on here takes its steps as one program .* Raise memory_limit/,
    ) as string,
  });
  expect((await run('refused', ample)).end.type).toBe('done');
  expect(await adapter('refused')).toEqual(await adapter('whole'));
}, 180_000);
