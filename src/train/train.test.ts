import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { configFromOptions, type FettleConfig, type FettleOptions } from '../config/index.ts';
import { readJsonLines, readRunRecord, sendControl, type TrainEvent } from '../run/index.ts';
import { train, type TrainEnd, type TrainRun } from './start.ts';

const trainer = new URL('./bigram-trainer.fixture.ts', import.meta.url);
let root: string;
let count = 0;
const newFolder = () => join(root, `run-${count++}`);
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'fettle-train-'));
});
afterEach(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith('FETTLE_TEST_')) delete process.env[name];
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const baseOptions: FettleOptions = {
  modelNameOrPath: 'bigram',
  dataset: ['synthetic'],
  numTrainEpochs: 2,
  perDeviceTrainBatchSize: 3,
  gradientAccumulationSteps: 2,
  learningRate: 0.05,
  lrSchedulerType: 'cosine',
  loraDropout: 0.3,
  warmupSteps: 2,
  loggingSteps: 1,
  saveSteps: 3,
  weightDecay: 0.01,
  plotLoss: false,
  threads: 1,
};
const configOf = (outputDir: string, options: FettleOptions = {}): FettleConfig =>
  configFromOptions({ ...baseOptions, outputDir, ...options }).config;

interface Watched {
  readonly run: TrainRun;
  readonly events: TrainEvent[];
}

function start(folder: string, options: FettleOptions = {}): Watched {
  const run = train(configOf(folder, options), { trainer });
  const events: TrainEvent[] = [];
  void (async () => {
    for await (const event of run.events) events.push(event);
  })();
  return { run, events };
}

async function trainTo(folder: string, options: FettleOptions = {}): Promise<TrainEnd> {
  return start(folder, options).run.done;
}

const sha = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
const weights = (folder: string) => sha(join(folder, 'adapter_model.safetensors'));
const json = (...parts: string[]) => JSON.parse(readFileSync(join(...parts), 'utf8')) as Record<string, unknown>;
/** What of a log line must be the same on every run: all but the times. */
const timeless = (lines: Record<string, unknown>[]) =>
  lines.map(({ current_steps, total_steps, loss, eval_loss, lr, grad_norm, epoch, total_tokens }) => ({
    current_steps,
    total_steps,
    loss,
    eval_loss,
    lr,
    grad_norm,
    epoch,
    total_tokens,
  }));
const log = async (folder: string) => timeless(await readJsonLines(join(folder, 'trainer_log.jsonl')));

describe('a run', () => {
  let folder: string;
  let watched: Watched;
  let end: TrainEnd;
  beforeAll(async () => {
    folder = newFolder();
    watched = start(folder, {
      plotLoss: true,
      valSize: 0.2,
      evalStrategy: 'steps',
      evalSteps: 3,
      loadBestModelAtEnd: true,
      saveTotalLimit: 2,
    });
    end = await watched.run.done;
  });

  test('tells its plan, its steps and its end', () => {
    expect(end).toMatchObject({ state: 'done', step: 14, totalSteps: 14 });
    const types = watched.events.map(({ type }) => type);
    expect(types.slice(0, 2)).toEqual(['notice', 'plan']);
    expect(types.at(-1)).toBe('done');
    const plan = watched.events.find((event) => event.type === 'plan')!;
    expect(Object.fromEntries(plan.entries.map(({ name, value }) => [name, value]))).toMatchObject({
      total_steps: 14,
      steps_per_epoch: 7,
      batches_per_epoch: 13,
      trained_parameters: 368,
      rows_read: 37,
      warmup_steps: 2,
    });
  });

  test('lowers the loss and logs every step once', async () => {
    const lines = await log(folder);
    const losses = lines.filter(({ loss }) => loss !== undefined);
    expect(losses.map(({ current_steps }) => current_steps)).toEqual(Array.from({ length: 14 }, (_, i) => i + 1));
    expect(losses[0]!.lr).toBe(0);
    expect(losses.at(-1)!.loss as number).toBeLessThan(losses[0]!.loss as number);
    const evaluations = lines.filter(({ eval_loss }) => eval_loss !== undefined);
    expect(evaluations.map(({ current_steps }) => current_steps)).toEqual([3, 6, 9, 12]);
    expect(losses.at(-1)!.epoch).toBe(2);
    const [line] = await readJsonLines(join(folder, 'trainer_log.jsonl'));
    expect(Object.keys(line!).sort()).toEqual(
      [
        'current_steps',
        'total_steps',
        'loss',
        'lr',
        'grad_norm',
        'epoch',
        'percentage',
        'elapsed_time',
        'remaining_time',
        'throughput',
        'total_tokens',
        'tokens_per_second',
        'peak_memory_bytes',
      ].sort(),
    );
  });

  test('leaves its results', async () => {
    const results = json(folder, 'train_results.json');
    const lines = (await log(folder)).filter(({ loss }) => loss !== undefined);
    const mean = lines.reduce((sum, { loss }) => sum + (loss as number), 0) / lines.length;
    expect(results['train_loss']).toBeCloseTo(mean, 12);
    expect(results).toMatchObject({ epoch: 2, data_plan: { rows_read: 37 } });
    expect(end.results).toEqual(results);
    expect(json(folder, 'all_results.json')).toEqual({ ...json(folder, 'eval_results.json'), ...results });
    const record = await readRunRecord(folder);
    expect(record).toMatchObject({ state: 'done', step: 14, totalSteps: 14, hashes: { data: 'data of seed 0' } });
    expect(readFileSync(join(folder, 'training_loss.svg'), 'utf8')).toMatch(/loss[^]*step|step[^]*loss/);
    expect(readFileSync(join(folder, 'training_loss.png')).subarray(1, 4).toString()).toBe('PNG');
  });

  test('keeps the best checkpoint and the newest, and leaves the best weights', async () => {
    const evaluations = (await log(folder)).filter(({ eval_loss }) => eval_loss !== undefined);
    const best = evaluations.reduce((a, b) => ((b.eval_loss as number) < (a.eval_loss as number) ? b : a));
    const state = json(folder, 'trainer_state.json');
    expect(state['best_metric']).toBe(best.eval_loss);
    expect(state['best_model_checkpoint']).toBe(join(folder, `checkpoint-${best.current_steps as number}`));
    const kept = readdirSync(folder).filter((name) => name.startsWith('checkpoint-'));
    expect(kept.sort()).toEqual(['checkpoint-12', 'checkpoint-14']);
    expect(weights(folder)).toBe(weights(state['best_model_checkpoint'] as string));
    expect(json(folder, 'eval_results.json')['eval_loss']).toBe(best.eval_loss);
    expect(readdirSync(join(folder, 'checkpoint-14')).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'tokenizer.json',
      'trainer_state.json',
      'training_state.json',
      'training_state.safetensors',
    ]);
  });

  test('is not trained again, and replaced only when told', async () => {
    const before = weights(folder);
    const again = {
      valSize: 0.2,
      evalStrategy: 'steps',
      evalSteps: 3,
      loadBestModelAtEnd: true,
      saveTotalLimit: 2,
    } as const;
    await expect(trainTo(folder, again)).rejects.toThrow(
      `${folder}: holds a finished run. Choose another output_dir, or set overwrite_output_dir: true to replace it`,
    );
    expect(weights(folder)).toBe(before);
    expect(existsSync(join(folder, 'run.lock'))).toBe(false);
    await trainTo(folder, { seed: 7, overwriteOutputDir: true, maxSteps: 2 });
    expect(weights(folder)).not.toBe(before);
    expect(readdirSync(folder).filter((name) => name.startsWith('checkpoint-'))).toEqual(['checkpoint-2']);
    expect(existsSync(join(folder, 'eval_results.json'))).toBe(false);
  });
});

describe('exact resume', () => {
  const options: FettleOptions = { valSize: 0.2, evalStrategy: 'steps', evalSteps: 4, numTrainEpochs: 4 };
  let whole: string;
  beforeAll(async () => {
    whole = newFolder();
    await trainTo(whole, options);
  });

  test('kills at any moment end in the same bytes and the same log', async () => {
    const folder = newFolder();
    process.env['FETTLE_TEST_DELAY_MS'] = '4';
    let kills = 0;
    let resumes = 0;
    for (;;) {
      const { run, events } = start(folder, options);
      // Some die before they begin, most while they train; what must not happen is that the moment matters.
      const wait = kills === 0 ? 30 : 700 + ((kills * 977) % 31) * 22;
      const finished = await Promise.race([run.done.then(() => true), sleep(wait).then(() => false)]);
      resumes += events.filter(({ type }) => type === 'resuming').length;
      if (finished) break;
      await run.kill();
      await run.done;
      kills += 1;
    }
    expect(kills).toBeGreaterThan(2);
    expect(resumes).toBeGreaterThan(1);
    expect(weights(folder)).toBe(weights(whole));
    expect(await log(folder)).toEqual(await log(whole));
    expect(sha(join(folder, 'checkpoint-28', 'training_state.safetensors'))).toBe(
      sha(join(whole, 'checkpoint-28', 'training_state.safetensors')),
    );
    const leftovers = readdirSync(folder).filter((name) => /tmp|unfinished|removed|lock/.test(name));
    expect(leftovers).toEqual([]);
    expect(json(folder, 'train_results.json')['train_loss']).toBe(json(whole, 'train_results.json')['train_loss']);
  });

  test('a stop saves, and the run goes on from there', async () => {
    const folder = newFolder();
    process.env['FETTLE_TEST_DELAY_MS'] = '10';
    const first = start(folder, options);
    await first.run.begun;
    await sleep(250);
    await first.run.stop();
    const stopped = await first.run.done;
    expect(stopped).toMatchObject({
      state: 'stopped',
      totalSteps: 28,
      checkpoint: join(folder, `checkpoint-${stopped.step}`),
    });
    expect(await readRunRecord(folder)).toMatchObject({ state: 'stopped', step: stopped.step });
    expect(first.events.map(({ type }) => type)).toContain('stopping');
    delete process.env['FETTLE_TEST_DELAY_MS'];
    const second = start(folder, { ...options, overwriteOutputDir: true });
    await second.run.done;
    expect(second.events).toContainEqual({
      type: 'resuming',
      step: stopped.step,
      totalSteps: 28,
      checkpoint: join(folder, `checkpoint-${stopped.step}`),
    });
    expect(weights(folder)).toBe(weights(whole));
    expect(await log(folder)).toEqual(await log(whole));
  });

  test('a checkpoint that is not whole is passed over', async () => {
    const folder = newFolder();
    process.env['FETTLE_TEST_EXIT_AT'] = '11';
    await expect(trainTo(folder, options)).rejects.toThrow('memory ran out');
    delete process.env['FETTLE_TEST_EXIT_AT'];
    truncateSync(join(folder, 'checkpoint-9', 'training_state.safetensors'), 100);
    mkdirSync(join(folder, 'unfinished-checkpoint-12-1'));
    const { run, events } = start(folder, options);
    await run.done;
    expect(events).toContainEqual({
      type: 'resuming',
      step: 6,
      totalSteps: 28,
      checkpoint: join(folder, 'checkpoint-6'),
    });
    expect(
      events.some((event) => event.type === 'notice' && event.text.startsWith('checkpoint-9: is passed over')),
    ).toBe(true);
    expect(existsSync(join(folder, 'unfinished-checkpoint-12-1'))).toBe(false);
    expect(weights(folder)).toBe(weights(whole));
  });

  test('another config or other data is refused, and replaces the run only when told', async () => {
    const folder = newFolder();
    process.env['FETTLE_TEST_EXIT_AT'] = '5';
    await expect(trainTo(folder, options)).rejects.toThrow('memory ran out');
    delete process.env['FETTLE_TEST_EXIT_AT'];
    const before = readdirSync(folder).sort();
    await expect(trainTo(folder, { ...options, learningRate: 0.01, seed: 1 })).rejects.toThrow(
      `${folder}: holds an unfinished run whose "learning_rate" is 0.05, got 0.01. Give it the old value to go on, choose another output_dir, or set overwrite_output_dir: true to replace it`,
    );
    process.env['FETTLE_TEST_DATA_SEED'] = '5';
    await expect(trainTo(folder, options)).rejects.toThrow(
      `${folder}: holds an unfinished run at step 3 whose training data had another content than now. Restore it to go on`,
    );
    expect(readdirSync(folder).sort()).toEqual(before);
    const { run, events } = start(folder, { ...options, overwriteOutputDir: true, loggingSteps: 5 });
    await run.done;
    expect(events.map(({ type }) => type)).not.toContain('resuming');
    expect(weights(folder)).not.toBe(weights(whole));
  });

  test('more epochs go on under a constant schedule', async () => {
    const [short, long] = [newFolder(), newFolder()];
    const constant: FettleOptions = { lrSchedulerType: 'constant', warmupSteps: 0 };
    await trainTo(short, { ...constant, numTrainEpochs: 1 });
    await trainTo(long, { ...constant, numTrainEpochs: 2 });
    const { run, events } = start(short, { ...constant, numTrainEpochs: 2 });
    await run.done;
    expect(events).toContainEqual({
      type: 'resuming',
      step: 7,
      totalSteps: 14,
      checkpoint: join(short, 'checkpoint-7'),
    });
    expect(weights(short)).toBe(weights(long));
  });
});

describe('orders and failures', () => {
  test('orders are obeyed at the next step and logged', async () => {
    const folder = newFolder();
    process.env['FETTLE_TEST_DELAY_MS'] = '15';
    const { run, events } = start(folder, {
      saveSteps: 100,
      lrSchedulerType: 'constant',
      warmupSteps: 0,
      numTrainEpochs: 3,
    });
    await run.begun;
    await sleep(100);
    await sendControl(folder, { do: 'save' });
    await sendControl(folder, { do: 'set', learning_rate: 0.001 });
    await run.done;
    const orders = events.filter((event) => event.type === 'control');
    expect(orders.map(({ command }) => command)).toEqual([{ do: 'save' }, { do: 'set', learning_rate: 0.001 }]);
    const step = orders[1]!.step;
    const rates = (await log(folder)).map(({ lr }) => lr);
    expect(rates.slice(0, step).every((rate) => rate === 0.05)).toBe(true);
    expect(rates.slice(step).every((rate) => rate === 0.001)).toBe(true);
    expect(existsSync(join(folder, `checkpoint-${orders[0]!.step}`))).toBe(true);
    expect((await readRunRecord(folder))!.control).toHaveLength(2);
  });

  test('stop-keep-best ends the run with its best evaluation', async () => {
    const folder = newFolder();
    process.env['FETTLE_TEST_DELAY_MS'] = '15';
    const { run } = start(folder, {
      valSize: 0.2,
      evalStrategy: 'steps',
      evalSteps: 2,
      saveSteps: 2,
      numTrainEpochs: 20,
    });
    await run.begun;
    await sleep(500);
    await sendControl(folder, { do: 'stop-keep-best' });
    const end = await run.done;
    expect(end.state).toBe('done');
    expect(end.step).toBeLessThan(140);
    expect(weights(folder)).toBe(weights(json(folder, 'trainer_state.json')['best_model_checkpoint'] as string));
  });

  test('early stopping ends where nothing gets better', async () => {
    const folder = newFolder();
    const end = await trainTo(folder, {
      valSize: 0.2,
      evalStrategy: 'steps',
      evalSteps: 1,
      learningRate: 0,
      earlyStoppingSteps: 3,
      saveStrategy: 'no',
    });
    expect(end).toMatchObject({ state: 'done', step: 4, totalSteps: 14 });
  });

  test('a loss that is not finite ends the run with its rows, the last checkpoint intact', async () => {
    const folder = newFolder();
    process.env['FETTLE_TEST_NAN_AT'] = '5';
    await expect(trainTo(folder)).rejects.toThrow(
      /^step 5: the loss must be finite, got NaN on the batch of rows \d+, \d+, \d+\. The last checkpoint is intact: .*checkpoint-3\. A smaller/,
    );
    expect(await readRunRecord(folder)).toMatchObject({ state: 'failed', error: { code: 'loss-not-finite' } });
    const good = newFolder();
    await trainTo(good, { maxSteps: 3, warmupSteps: 2 });
    delete process.env['FETTLE_TEST_NAN_AT'];
    await trainTo(folder);
    expect((await readRunRecord(folder))!.state).toBe('done');
  });

  test('a trainer that is killed for memory names the setting that helps', async () => {
    const folder = newFolder();
    process.env['FETTLE_TEST_EXIT_AT'] = '2';
    await expect(trainTo(folder)).rejects.toThrow(
      /^trainer: was killed by the system, most likely because memory ran out( \(it had needed [\d.]+ GB\))?\. Set gradient_checkpointing: true$/,
    );
    expect(await readRunRecord(folder)).toMatchObject({
      state: 'failed',
      error: { code: 'trainer-killed-for-memory' },
    });
    expect(existsSync(join(folder, 'run.lock'))).toBe(false);
  });

  test('a defect is told as such', async () => {
    const folder = newFolder();
    process.env['FETTLE_TEST_THROW_AT'] = '2';
    await expect(trainTo(folder)).rejects.toThrow('trainer: ended with an unexpected error: Error: a defect');
  });

  test('two trainings do not share a folder', async () => {
    const folder = newFolder();
    process.env['FETTLE_TEST_DELAY_MS'] = '20';
    const first = start(folder);
    await first.run.begun;
    await expect(trainTo(folder)).rejects.toThrow(/a run is writing here \(process \d+\)/);
    await first.run.kill();
    await first.run.done;
  });

  test('a folder with another model is not overwritten', async () => {
    const folder = newFolder();
    mkdirSync(folder);
    writeFileSync(join(folder, 'adapter_config.json'), '{}');
    await expect(trainTo(folder)).rejects.toThrow(
      `${folder}: must be empty or hold a run to go on with, got adapter_config.json`,
    );
    expect(readdirSync(folder)).toEqual(['adapter_config.json']);
  });
});

test('accumulation equals the big batch', async () => {
  const [windows, big] = [newFolder(), newFolder()];
  const same: FettleOptions = { loraDropout: 0, numTrainEpochs: 1, disableShuffling: true, maxGradNorm: 0.1 };
  await trainTo(windows, { ...same, perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 4 });
  await trainTo(big, { ...same, perDeviceTrainBatchSize: 8, gradientAccumulationSteps: 1 });
  const [a, b] = [await log(windows), await log(big)];
  expect(a).toHaveLength(b.length);
});
