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
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { FettleOptions } from '../config/index.ts';
import { readJsonLines, readRunRecord } from '../run/index.ts';
import { trainHere, type TrainedHere } from './train-here.fixture.ts';

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

const typesOf = ({ events }: TrainedHere) => events.map(({ type }) => type);

/** Trains until the run fails as the environment says. */
async function trainUntil(folder: string, failure: Record<string, string>, options: FettleOptions = {}): Promise<void> {
  Object.assign(process.env, failure);
  await expect(trainHere(folder, options)).rejects.toThrow();
  for (const name of Object.keys(failure)) delete process.env[name];
}

describe('a run', () => {
  const options: FettleOptions = {
    plotLoss: true,
    valSize: 0.2,
    evalStrategy: 'steps',
    evalSteps: 3,
    loadBestModelAtEnd: true,
    saveTotalLimit: 2,
  };
  let folder: string;
  let trained: TrainedHere;
  beforeAll(async () => {
    folder = newFolder();
    trained = await trainHere(folder, options);
  });

  test('tells its plan, its steps and its end', () => {
    expect(trained.end.type).toBe('done');
    expect(typesOf(trained).slice(0, 2)).toEqual(['notice', 'plan']);
    const plan = trained.events.find((event) => event.type === 'plan')!;
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
    expect(Object.keys(line!)).toEqual([
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
    ]);
  });

  test('leaves its results', async () => {
    const results = json(folder, 'train_results.json');
    const lines = (await log(folder)).filter(({ loss }) => loss !== undefined);
    const mean = lines.reduce((sum, { loss }) => sum + (loss as number), 0) / lines.length;
    expect(results['train_loss']).toBeCloseTo(mean, 12);
    expect(results).toMatchObject({ epoch: 2, data_plan: { rows_read: 37 } });
    expect(trained.end).toMatchObject({ results });
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
    expect(
      readdirSync(folder)
        .filter((name) => name.startsWith('checkpoint-'))
        .sort(),
    ).toEqual(['checkpoint-12', 'checkpoint-14']);
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
    await expect(trainHere(folder, options)).rejects.toThrow(
      `${folder}: holds a finished run. Choose another output_dir, or set overwrite_output_dir: true to replace it`,
    );
    expect(weights(folder)).toBe(before);
    expect(existsSync(join(folder, 'run.lock'))).toBe(false);
    await trainHere(folder, { seed: 7, overwriteOutputDir: true, maxSteps: 2 });
    expect(weights(folder)).not.toBe(before);
    expect(readdirSync(folder).filter((name) => name.startsWith('checkpoint-'))).toEqual(['checkpoint-2']);
    expect(existsSync(join(folder, 'eval_results.json'))).toBe(false);
  });
});

describe('going on', () => {
  const options: FettleOptions = { valSize: 0.2, evalStrategy: 'steps', evalSteps: 4, numTrainEpochs: 4 };
  let whole: string;
  beforeAll(async () => {
    whole = newFolder();
    await trainHere(whole, options);
  });

  test('from an end in any step equals the uninterrupted run, log and all', async () => {
    const folder = newFolder();
    for (const step of [2, 5, 6, 13, 14, 28]) await trainUntil(folder, { FETTLE_TEST_THROW_AT: String(step) }, options);
    const last = await trainHere(folder, options);
    expect(last.events).toContainEqual({
      type: 'resuming',
      step: 27,
      totalSteps: 28,
      checkpoint: join(folder, 'checkpoint-27'),
    });
    expect(weights(folder)).toBe(weights(whole));
    expect(await log(folder)).toEqual(await log(whole));
    expect(json(folder, 'train_results.json')['train_loss']).toBe(json(whole, 'train_results.json')['train_loss']);
  });

  test('a stop in a step or an evaluation saves, and changes nothing in the end', async () => {
    const folder = newFolder();
    // Asked at different moments: after step 3, twice inside the evaluation of step 4, and later.
    for (const calls of [3, 2, 2, 5, 1]) {
      let asked = 0;
      const { end } = await trainHere(folder, options, { stopRequested: () => ++asked >= calls });
      expect(end.type).toBe('stopped');
      const { step, checkpoint } = end as Extract<typeof end, { type: 'stopped' }>;
      expect(checkpoint).toBe(join(folder, `checkpoint-${step}`));
      expect(await readRunRecord(folder)).toMatchObject({ state: 'stopped', step });
    }
    await trainHere(folder, { ...options, overwriteOutputDir: true });
    expect(weights(folder)).toBe(weights(whole));
    expect(await log(folder)).toEqual(await log(whole));
  });

  test('passes over a checkpoint that is not whole', async () => {
    const folder = newFolder();
    await trainUntil(folder, { FETTLE_TEST_THROW_AT: '11' }, options);
    truncateSync(join(folder, 'checkpoint-9', 'training_state.safetensors'), 100);
    mkdirSync(join(folder, 'unfinished-checkpoint-12-1'));
    const { events } = await trainHere(folder, options);
    expect(events).toContainEqual({
      type: 'resuming',
      step: 6,
      totalSteps: 28,
      checkpoint: join(folder, 'checkpoint-6'),
    });
    expect(events).toContainEqual({
      type: 'notice',
      code: 'checkpoint-passed-over',
      text: expect.stringMatching(
        /^checkpoint-9: is passed over, because it is not whole: training_state.safetensors must be \d+ bytes long, got 100$/,
      ) as string,
    });
    expect(existsSync(join(folder, 'unfinished-checkpoint-12-1'))).toBe(false);
    expect(weights(folder)).toBe(weights(whole));
  });

  test('with another config or other data is refused, and replaces the run only when told', async () => {
    const folder = newFolder();
    await trainUntil(folder, { FETTLE_TEST_THROW_AT: '5' }, options);
    const before = readdirSync(folder).sort();
    await expect(trainHere(folder, { ...options, learningRate: 0.01, seed: 1 })).rejects.toThrow(
      `${folder}: holds an unfinished run whose "learning_rate" is 0.05, got 0.01. Give it the old value to go on, choose another output_dir, or set overwrite_output_dir: true to replace it`,
    );
    process.env['FETTLE_TEST_DATA_SEED'] = '5';
    await expect(trainHere(folder, options)).rejects.toThrow(
      `${folder}: holds an unfinished run at step 3 whose training data had another content than now. Restore it to go on, choose another output_dir, or set overwrite_output_dir: true to replace it`,
    );
    expect(readdirSync(folder).sort()).toEqual(before);
    const trained = await trainHere(folder, { ...options, overwriteOutputDir: true, loggingSteps: 5 });
    expect(typesOf(trained)).not.toContain('resuming');
    expect(weights(folder)).not.toBe(weights(whole));
    const other = newFolder();
    await trainUntil(other, { FETTLE_TEST_THROW_AT: '5' }, options);
    const { events } = await trainHere(other, { ...options, overwriteOutputDir: true, learningRate: 0.01 });
    expect(events).toContainEqual({
      type: 'notice',
      code: 'run-replaced',
      text: `${other}: the key learning_rate changed: the unfinished run is replaced`,
    });
  });

  test('is not done with resume_from_checkpoint: false', async () => {
    const folder = newFolder();
    await trainUntil(folder, { FETTLE_TEST_THROW_AT: '5' }, options);
    const trained = await trainHere(folder, { ...options, resumeFromCheckpoint: false });
    expect(typesOf(trained)).not.toContain('resuming');
    expect(weights(folder)).toBe(weights(whole));
  });

  test('from a named checkpoint of another folder gives the same weights', async () => {
    const folder = newFolder();
    await trainHere(folder, { ...options, resumeFromCheckpoint: join(whole, 'checkpoint-15') });
    expect(weights(folder)).toBe(weights(whole));
    await expect(
      trainHere(newFolder(), { ...options, resumeFromCheckpoint: join(whole, 'checkpoint-16') }),
    ).rejects.toThrow(
      `resume_from_checkpoint: must be a checkpoint that a run can go on from, got ${join(whole, 'checkpoint-16')}: training_state.json is missing or no JSON`,
    );
  });

  test('for more epochs works under a constant schedule', async () => {
    const [short, long] = [newFolder(), newFolder()];
    const constant: FettleOptions = { lrSchedulerType: 'constant', warmupSteps: 0 };
    await trainHere(short, { ...constant, numTrainEpochs: 1 });
    await trainHere(long, { ...constant, numTrainEpochs: 2 });
    const { events } = await trainHere(short, { ...constant, numTrainEpochs: 2 });
    expect(events).toContainEqual({
      type: 'resuming',
      step: 7,
      totalSteps: 14,
      checkpoint: join(short, 'checkpoint-7'),
    });
    expect(weights(short)).toBe(weights(long));
  });
});

describe('do_train: false', () => {
  const evaluationOnly: FettleOptions = { doTrain: false, doEval: true, valSize: 0.2 };

  test('evaluates the model as it is and leaves a finished run alone', async () => {
    const folder = newFolder();
    await trainHere(folder, { learningRate: 0, maxSteps: 1, valSize: 0.2, doTrain: true, doEval: true });
    const [record, evaluation] = [readFileSync(join(folder, 'run.json')), json(folder, 'eval_results.json')];
    const { end } = await trainHere(folder, evaluationOnly);
    expect(end).toMatchObject({ type: 'evaluated', results: { eval_loss: evaluation['eval_loss'] } });
    expect(json(folder, 'eval_results.json')).toMatchObject({ eval_loss: evaluation['eval_loss'], epoch: 0 });
    expect(readFileSync(join(folder, 'run.json'))).toEqual(record);
  });
});

describe('orders', () => {
  test('are obeyed at the next step, logged, and again after a crash', async () => {
    const options: FettleOptions = { saveSteps: 100, lrSchedulerType: 'constant', warmupSteps: 0 };
    const [folder, crashed] = [newFolder(), newFolder()];
    const orders = {
      FETTLE_TEST_ORDER_AT_4: '{"do":"save"}',
      FETTLE_TEST_ORDER_AT_6: '{"do":"set","learning_rate":0.001}',
      FETTLE_TEST_ORDER_AT_7: '{"do":"dance"}',
    };
    Object.assign(process.env, orders);
    const { events } = await trainHere(folder, options);
    expect(events.filter(({ type }) => type === 'control')).toEqual([
      { type: 'control', step: 4, command: { do: 'save' } },
      { type: 'control', step: 6, command: { do: 'set', learning_rate: 0.001 } },
    ]);
    expect(events).toContainEqual({
      type: 'notice',
      code: 'order-not-understood',
      text: 'control.jsonl: an order was not understood: "do" is none of stop, save, stop-keep-best, set',
    });
    const rates = (await log(folder)).map(({ lr }) => lr);
    expect(rates).toEqual([...Array.from({ length: 6 }, () => 0.05), ...Array.from({ length: 8 }, () => 0.001)]);
    expect(existsSync(join(folder, 'checkpoint-4'))).toBe(true);
    expect((await readRunRecord(folder))!.control).toHaveLength(2);

    await trainUntil(crashed, { ...orders, FETTLE_TEST_THROW_AT: '9' }, options);
    await trainHere(crashed, options);
    expect(weights(crashed)).toBe(weights(folder));
  });

  test('stop saves and stops, and does not stop the run that goes on', async () => {
    const folder = newFolder();
    process.env['FETTLE_TEST_ORDER_AT_4'] = '{"do":"stop"}';
    expect((await trainHere(folder)).end).toMatchObject({ type: 'stopped', step: 4, totalSteps: 14 });
    expect((await trainHere(folder)).end.type).toBe('done');
  });

  test('stop-keep-best ends the run with its best evaluation', async () => {
    const folder = newFolder();
    process.env['FETTLE_TEST_ORDER_AT_11'] = '{"do":"stop-keep-best"}';
    const { end } = await trainHere(folder, { valSize: 0.2, evalStrategy: 'steps', evalSteps: 2, saveSteps: 2 });
    expect(end.type).toBe('done');
    expect(await readRunRecord(folder)).toMatchObject({ state: 'done', step: 11, totalSteps: 14 });
    expect(weights(folder)).toBe(weights(json(folder, 'trainer_state.json')['best_model_checkpoint'] as string));
  });
});

describe('when to log, evaluate, save and end', () => {
  test('early stopping ends where nothing gets better', async () => {
    const folder = newFolder();
    await trainHere(folder, {
      valSize: 0.2,
      evalStrategy: 'steps',
      evalSteps: 1,
      learningRate: 0,
      earlyStoppingSteps: 3,
      saveStrategy: 'no',
    });
    expect(await readRunRecord(folder)).toMatchObject({ state: 'done', step: 4, totalSteps: 14 });
    const lines = await log(folder);
    expect(new Set(lines.map(({ eval_loss }) => eval_loss).filter((loss) => loss !== undefined)).size).toBe(1);
  });

  test('log lines are means over the steps since the last, the last step closes the log', async () => {
    const [every, some] = [newFolder(), newFolder()];
    await trainHere(every);
    await trainHere(some, { loggingSteps: 4, saveStrategy: 'epoch' });
    const losses = (await log(every)).map(({ loss }) => loss as number);
    const mean = (from: number, to: number) => losses.slice(from, to).reduce((a, b) => a + b, 0) / (to - from);
    const lines = await log(some);
    expect(lines.map(({ current_steps }) => current_steps)).toEqual([4, 8, 12, 14]);
    for (const [index, [from, to]] of (
      [
        [0, 4],
        [4, 8],
        [8, 12],
        [12, 14],
      ] as const
    ).entries()) {
      expect(lines[index]!.loss as number).toBeCloseTo(mean(from, to), 12);
    }
    expect(
      readdirSync(some)
        .filter((name) => name.startsWith('checkpoint-'))
        .sort(),
    ).toEqual(['checkpoint-14', 'checkpoint-7']);
  });

  test('by epochs, at each best evaluation, and only the newest checkpoint', async () => {
    const folder = newFolder();
    await trainHere(folder, {
      loggingStrategy: 'epoch',
      valSize: 0.2,
      evalStrategy: 'epoch',
      saveStrategy: 'best',
      saveTotalLimit: 1,
    });
    expect((await log(folder)).map(({ current_steps, loss }) => [current_steps, loss === undefined])).toEqual([
      [7, false],
      [7, true],
      [14, false],
      [14, true],
    ]);
    const losses = (await log(folder)).flatMap(({ eval_loss }) =>
      eval_loss === undefined ? [] : [eval_loss as number],
    );
    const best = losses[1]! < losses[0]! ? 14 : 7;
    expect(readdirSync(folder).filter((name) => name.startsWith('checkpoint-'))).toEqual([`checkpoint-${best}`]);
  });

  test('fractions of an epoch and max_steps', async () => {
    const [half, steps] = [newFolder(), newFolder()];
    await trainHere(half, { numTrainEpochs: 0.5, warmupSteps: 0 });
    expect((await log(half)).map(({ epoch }) => epoch)).toEqual([0.1538, 0.3077, 0.4615, 0.6154]);
    await trainHere(steps, { maxSteps: 9, warmupSteps: 0, loggingSteps: 9 });
    expect((await log(steps)).map(({ current_steps, epoch }) => [current_steps, epoch])).toEqual([[9, 1.3077]]);
  });
});

describe('arithmetic of a step', () => {
  test('windows equal the big batch to 1e-6, short last windows included', async () => {
    const [windows, big] = [newFolder(), newFolder()];
    const same: FettleOptions = { loraDropout: 0, numTrainEpochs: 1, disableShuffling: true, maxGradNorm: 0.1 };
    await trainHere(windows, { ...same, perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 4 });
    await trainHere(big, { ...same, perDeviceTrainBatchSize: 8, gradientAccumulationSteps: 1 });
    const [a, b] = [await log(windows), await log(big)];
    expect(a).toHaveLength(5);
    for (const [index, line] of a.entries()) {
      expect(line.loss as number).toBeCloseTo(b[index]!.loss as number, 6);
      expect(line.grad_norm as number).toBeCloseTo(b[index]!.grad_norm as number, 5);
    }
  });

  test('learning rate 0 moves nothing', async () => {
    const folder = newFolder();
    await trainHere(folder, { learningRate: 0, loraDropout: 0, maxSteps: 14, saveSteps: 7 });
    expect(weights(folder)).toBe(weights(join(folder, 'checkpoint-7')));
  });

  test('the seed decides order, dropout and start', async () => {
    const [a, b, c] = [newFolder(), newFolder(), newFolder()];
    await trainHere(a, { maxSteps: 3 });
    await trainHere(b, { maxSteps: 3 });
    await trainHere(c, { maxSteps: 3, seed: 43 });
    expect(weights(a)).toBe(weights(b));
    expect(weights(a)).not.toBe(weights(c));
  });
});

describe('failures', () => {
  test('a loss that is not finite names its rows, the last checkpoint intact', async () => {
    const folder = newFolder();
    process.env['FETTLE_TEST_NAN_AT'] = '5';
    await expect(trainHere(folder)).rejects.toThrow(
      /^step 5: the loss must be finite, got NaN on the batch of rows \d+, \d+, \d+\. The last checkpoint is intact: .*checkpoint-3\. A smaller learning_rate or max_grad_norm often helps; look at these rows with "fettle data preview"$/,
    );
    expect(await readRunRecord(folder)).toMatchObject({ state: 'failed', error: { code: 'loss-not-finite' } });
    delete process.env['FETTLE_TEST_NAN_AT'];
    expect((await trainHere(folder)).end.type).toBe('done');
  });

  test('a full disk ends the run, the last checkpoint intact and nothing half-written', async () => {
    const [folder, whole] = [newFolder(), newFolder()];
    process.env['FETTLE_TEST_FULL_DISK_AT'] = '6';
    await expect(trainHere(folder)).rejects.toThrow(
      /^.*run-\d+: writing needs more space on this disk, got \d+ bytes \([^)]*\) free\. Free some space, or choose a folder on another disk; nothing was left half-written$/,
    );
    expect(readdirSync(folder).sort()).toEqual(['checkpoint-3', 'events.jsonl', 'run.json', 'trainer_log.jsonl']);
    delete process.env['FETTLE_TEST_FULL_DISK_AT'];
    await trainHere(folder);
    await trainHere(whole);
    expect(weights(folder)).toBe(weights(whole));
  });

  test('a folder with another model is not overwritten', async () => {
    const folder = newFolder();
    mkdirSync(folder);
    writeFileSync(join(folder, 'adapter_config.json'), '{}');
    await expect(trainHere(folder)).rejects.toThrow(
      `${folder}: must be empty or hold a run to go on with, got adapter_config.json. Choose another output_dir, or set overwrite_output_dir: true`,
    );
    expect(readdirSync(folder)).toEqual(['adapter_config.json']);
  });

  test('a refused start leaves no folder', async () => {
    const folder = newFolder();
    await expect(
      trainHere(folder, { lrSchedulerType: 'polynomial', lrSchedulerKwargs: { lr_end: 1 } }),
    ).rejects.toThrow('lr_scheduler_kwargs: lr_end must be below learning_rate (0.05), got 1');
    expect(existsSync(folder)).toBe(false);
  });
});
