/** What a user reads when a checkpoint is not what its config says, or when memory is too small: one message, in full. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openModelFolder } from '../src/checkpoint/index.ts';
import { configFromOptions } from '../src/config/index.ts';
import { type ModelConfigJson, tinyModelShapes, writeTinyModel } from '../src/testing/index.ts';
import { createEngine, prepareTuning } from '../src/train/create-engine.ts';

const config: ModelConfigJson = {
  model_type: 'llama',
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 32,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
};
const downProjection = 'model.layers.0.mlp.down_proj.weight';
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fettle-bad-input-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function write(name: string, changes: Partial<Parameters<typeof writeTinyModel>[1]>): Promise<string> {
  const path = join(folder, name);
  await writeTinyModel(path, { config, seed: 1, ...changes });
  return path;
}

async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: Error) => error.message,
  );
}

test('an unknown model_type', async () => {
  const path = await write('type', {});
  writeFileSync(join(path, 'config.json'), JSON.stringify({ ...config, model_type: 'rwkv' }));
  const message = await messageOf(openModelFolder(path));
  expect(message).toMatch(/config\.json: model_type must be one of [a-z0-9_, ]*\bllama\b[a-z0-9_, ]*, got "rwkv"$/);
});

test('a setting that would be computed wrongly', async () => {
  const path = await write('activation', {});
  writeFileSync(join(path, 'config.json'), JSON.stringify({ ...config, hidden_act: 'relu' }));
  expect(await messageOf(openModelFolder(path))).toBe(
    `${join(path, 'config.json')}: hidden_act must be one of silu, got "relu". This version would compute it wrongly`,
  );
});

test('a size that is no size', async () => {
  const path = await write('size', {});
  writeFileSync(join(path, 'config.json'), JSON.stringify({ ...config, num_hidden_layers: 0 }));
  expect(await messageOf(openModelFolder(path))).toBe(
    `${join(path, 'config.json')}: num_hidden_layers must be an integer from 1 to 16777216, got 0`,
  );
});

test('a tensor of another shape', async () => {
  const shapes = new Map(tinyModelShapes(config)).set(downProjection, [24, 16]);
  const path = await write('shape', { shapes });
  expect(await messageOf(openModelFolder(path))).toBe(
    `${join(path, 'model.safetensors')}: "${downProjection}" must have shape [16,24] by config.json, got [24,16]`,
  );
});

test('a tensor that is missing', async () => {
  const shapes = new Map(tinyModelShapes(config));
  shapes.delete(downProjection);
  const path = await write('missing', { shapes });
  expect(await messageOf(openModelFolder(path))).toBe(
    `${path}: a llama checkpoint must hold "${downProjection}", got none of that name`,
  );
});

test('too little memory is refused before the start, with what helps', async () => {
  const path = await write('memory', {});
  const output = join(folder, 'output');
  const batch = { rows: 4, longest: 64, tokens: 256, labelled: 100 };
  const start = async (memoryLimit: number): Promise<unknown> => {
    const { config: checked } = configFromOptions({
      modelNameOrPath: path,
      dataset: ['rows.json'],
      outputDir: output,
      memoryLimit,
    });
    const setup = await prepareTuning(checked, () => false);
    return createEngine(checked, setup, batch);
  };
  expect(await messageOf(start(100_000_000))).toMatch(
    /^memory_limit: this run is planned to need 138 MB, got 100 MB\. What helps: a memory_limit of at least 138 MB, which the shortest rows need$/,
  );
  expect(existsSync(output)).toBe(false);
});
