import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TrainingPlan } from '../train/index.ts';
import { call, writeCharacterModel } from './command-line.fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'fettle-train-cli-'));
const model = join(folder, 'model');
const config = join(folder, 'train.yaml');
const run = join(folder, 'run');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(async () => {
  await writeCharacterModel(model);
  const rows = Array.from({ length: 8 }, (_, i) => ({ instruction: 'Say it', output: 'yes '.repeat(i + 1).trim() }));
  writeFileSync(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  writeFileSync(
    config,
    [
      `model_name_or_path: ${model}`,
      `dataset: ${join(folder, 'rows.jsonl')}`,
      'template: alpaca',
      `output_dir: ${run}`,
      'per_device_train_batch_size: 4',
      'num_train_epochs: 2',
      'logging_steps: 1',
      'learning_rate: 1e-2',
      'threads: 1',
      'bf16: true',
    ].join('\n'),
  );
});

describe('fettle train', () => {
  test('says what was derived, trains, and leaves the files of the contract', { timeout: 60_000 }, async () => {
    const plan = JSON.parse((await call('data', 'plan', config, '--json')).out) as { total_steps: number };
    expect(plan.total_steps).toBe(4);
    const { code, out, err } = await call('train', config, '--json');
    expect({ code, err: err.split('\n')[0] }).toEqual({
      code: 0,
      err: 'bf16: accepted; the arithmetic is f32 on this device',
    });
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.slice(0, -1).map((line) => line['current_steps'])).toEqual([1, 2, 3, 4]);
    expect(lines.at(-1)).toMatchObject({ train_loss: expect.any(Number) as number, data_plan: plan });
    expect(
      `${lines
        .slice(0, -1)
        .map((line) => JSON.stringify(line))
        .join('\n')}\n`,
    ).toBe(readFileSync(join(run, 'trainer_log.jsonl'), 'utf8'));
    expect(err).toMatch(/steps in all +4\n/);
    expect(err).toContain(`talk to it: fettle chat model_name_or_path=${model} adapter_name_or_path=${run}`);
    for (const name of ['adapter_model.safetensors', 'adapter_config.json', 'tokenizer.json', 'training_loss.png']) {
      expect(existsSync(join(run, name)), name).toBe(true);
    }
  });

  test('refuses a finished run in the folder, and what does not fit', async () => {
    expect(await call('train', config)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`${run}: holds a finished run.`) as string,
    });
    const small = await call('train', config, 'memory_limit=100MB', `output_dir=${run}2`);
    expect(small).toMatchObject({ code: 1, err: expect.stringContaining('memory_limit: ') as string });
    expect(existsSync(`${run}2`)).toBe(false);
  });
});

test('do_eval alone evaluates', { timeout: 60_000 }, async () => {
  const { code, out } = await call(
    'train',
    config,
    'do_eval=true',
    'val_size=2',
    `adapter_name_or_path=${run}`,
    `output_dir=${run}-eval`,
    '--json',
  );
  expect(code).toBe(0);
  expect(JSON.parse(out.trim().split('\n').at(-1)!)).toMatchObject({ eval_loss: expect.any(Number) as number });
  expect(existsSync(join(`${run}-eval`, 'eval_results.json'))).toBe(true);
  expect(existsSync(join(`${run}-eval`, 'adapter_model.safetensors'))).toBe(false);
});

describe('fettle plan', () => {
  test('prints the keys of the contract, with a measured step where that is asked for', async () => {
    const { code, out } = await call('plan', config, 'memory_limit=1GB', '--time', '--json');
    expect(code).toBe(0);
    const plan = JSON.parse(out) as TrainingPlan;
    expect(plan).toMatchObject({
      fits: true,
      batch_rows: 4,
      memory_limit_bytes: 1e9,
      largest_batch: expect.any(Number) as number,
    });
    expect(plan.seconds_per_step).toBeGreaterThan(0);
    expect(plan.longest_cutoff_len).toBe(512);
    const tight = JSON.parse((await call('plan', config, 'memory_limit=100MB', '--json')).out) as TrainingPlan;
    expect(tight).toMatchObject({ fits: false, longest_cutoff_len: 0, largest_batch: 0, seconds_per_step: null });
  });
});
