import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { FettleOptions } from '../config/index.ts';
import { isRunning, processIdentity, readJsonLines, readRunRecord, type TrainEvent } from '../run/index.ts';
import { train, type TrainRun } from './start.ts';
import { testConfig, trainHere } from './train-here.fixture.ts';

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

function start(folder: string, options: FettleOptions = {}): { readonly run: TrainRun; readonly events: TrainEvent[] } {
  const run = train(testConfig(folder, options), { trainer });
  const events: TrainEvent[] = [];
  void (async () => {
    for await (const event of run.events) events.push(event);
  })();
  return { run, events };
}

const sha = (...parts: string[]) =>
  createHash('sha256')
    .update(readFileSync(join(...parts)))
    .digest('hex');
/** The log without its times, which differ from run to run. */
const log = async (folder: string) =>
  (await readJsonLines(join(folder, 'trainer_log.jsonl'))).map(({ current_steps, loss, eval_loss, lr, grad_norm }) => ({
    current_steps,
    loss,
    eval_loss,
    lr,
    grad_norm,
  }));

test('a trainer killed at any moment ends in the same bytes and the same log', async () => {
  const options: FettleOptions = { valSize: 0.2, evalStrategy: 'steps', evalSteps: 4, numTrainEpochs: 8 };
  const [whole, folder] = [newFolder(), newFolder()];
  await trainHere(whole, options);
  process.env['FETTLE_TEST_DELAY_MS'] = '2';
  let resumes = 0;
  for (let kills = 0; ; kills++) {
    const { run, events } = start(folder, options);
    if (kills < 5) {
      // The first dies while it starts, the others at moments that no step knows of.
      if (kills > 0) await run.begun;
      await sleep(kills === 0 ? 100 : (kills * 61) % 149);
      await run.kill();
    }
    const end = await run.done;
    resumes += events.filter(({ type }) => type === 'resuming').length;
    if (end.state === 'done') break;
  }
  expect(resumes).toBeGreaterThan(2);
  expect(sha(folder, 'adapter_model.safetensors')).toBe(sha(whole, 'adapter_model.safetensors'));
  const last = join('checkpoint-56', 'training_state.safetensors');
  expect(sha(folder, last)).toBe(sha(whole, last));
  expect(await log(folder)).toEqual(await log(whole));
  expect(readdirSync(folder).filter((name) => /tmp|unfinished|removed|lock/.test(name))).toEqual([]);
});

test('stop finishes the step, saves and says so; a second training of the folder is refused meanwhile', async () => {
  const folder = newFolder();
  process.env['FETTLE_TEST_DELAY_MS'] = '400';
  const { run, events } = start(folder);
  await run.begun;
  await expect(start(folder).run.done).rejects.toThrow(/a run is writing here \(process \d+\)/);
  const rest = run.stop();
  const end = await run.done;
  await rest;
  expect(end).toMatchObject({ totalSteps: 14, checkpoint: join(folder, `checkpoint-${end.step}`) });
  expect(end.state).toBe('stopped');
  expect(await readRunRecord(folder)).toMatchObject({
    state: 'stopped',
    step: end.step,
    heartbeat: expect.any(String),
  });
  // those who listen follow the folder at their own pace
  await expect
    .poll(() => events.map(({ type }) => type))
    .toEqual(expect.arrayContaining(['plan', 'stopping', 'stopped']));
  expect(existsSync(join(folder, 'run.lock'))).toBe(false);
});

test('a trainer that the system kills is told with the setting that helps', async () => {
  const folder = newFolder();
  process.env['FETTLE_TEST_EXIT_AT'] = '2';
  await expect(start(folder).run.done).rejects.toThrow(
    /^trainer: was killed by the system, most likely because memory ran out( \(it had needed [\d.]+ GB\))?\. Set gradient_checkpointing: true$/,
  );
  expect(await readRunRecord(folder)).toMatchObject({ state: 'failed', error: { code: 'trainer-killed-for-memory' } });
  expect(existsSync(join(folder, 'run.lock'))).toBe(false);
});

test('errors of a trainer arrive as what they are', async () => {
  process.env['FETTLE_TEST_NAN_AT'] = '2';
  await expect(start(newFolder()).run.done).rejects.toMatchObject({
    name: 'RunError',
    code: 'loss-not-finite',
    fields: { step: 2, what: 'loss', checkpoint: null },
  });
  delete process.env['FETTLE_TEST_NAN_AT'];
  process.env['FETTLE_TEST_THROW_AT'] = '1';
  await expect(start(newFolder()).run.done).rejects.toThrow('trainer: ended with an unexpected error: Error: a defect');
});

test('a detached trainer outlives its starter, and ends in its folder', async () => {
  const folder = newFolder();
  process.env['FETTLE_TEST_DELAY_MS'] = '60';
  const starter = `
    import { train } from ${JSON.stringify(new URL('./start.ts', import.meta.url).href)};
    import { testConfig } from ${JSON.stringify(new URL('./train-here.fixture.ts', import.meta.url).href)};
    const run = train(testConfig(${JSON.stringify(folder)}), { trainer: new URL(${JSON.stringify(trainer.href)}), detach: true });
    console.log((await run.begun).pid);`;
  const child = spawn(process.execPath, ['--import', 'tsx/esm', '--input-type=module', '-e', starter], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  await new Promise((resolve) => child.once('exit', resolve));
  const detached = processIdentity(Number(printed));
  expect(isRunning(detached)).toBe(true);
  while (isRunning(detached)) await sleep(50);
  expect(await readRunRecord(folder)).toMatchObject({ state: 'done', step: 14 });
});
