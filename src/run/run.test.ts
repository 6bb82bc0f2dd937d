import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  acquireRunLock,
  checkpointStep,
  filterJsonLines,
  followRun,
  hashFiles,
  hashNamedFiles,
  isLeftover,
  isRunning,
  openControl,
  openJsonLines,
  parseControl,
  peakMemoryBytes,
  processIdentity,
  readJsonLines,
  readRunRecord,
  runLockHolder,
  runPaths,
  sendControl,
  startKeeper,
  type TrainEvent,
  partialCheckpointName,
  withAllocatorSettings,
} from './index.ts';

let root: string;
let count = 0;
const newFolder = () => join(root, `run-${count++}`);
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'fettle-run-'));
  process.env['FETTLE_CACHE'] = join(root, 'cache');
});
afterAll(() => {
  delete process.env['FETTLE_CACHE'];
  rmSync(root, { recursive: true, force: true });
});

/** A process that has ended, so that its number names nobody. */
let dead: number | undefined;
function deadPid(): number {
  dead ??= spawnSync(process.execPath, ['-e', '']).pid;
  return dead;
}

describe('the lock of a run folder', () => {
  test('is held by one and given back, the empty folder with it', async () => {
    const folder = newFolder();
    const lock = await acquireRunLock(folder);
    expect((await runLockHolder(folder))?.pid).toBe(process.pid);
    await expect(acquireRunLock(folder)).rejects.toThrow(
      `${folder}: a run is writing here (process ${process.pid}). Wait for it, or stop it with Ctrl-C in its terminal`,
    );
    await lock.release();
    expect(existsSync(folder)).toBe(false);
  });

  test('takes with it the empty folders that it made above its own, and no others', async () => {
    const above = newFolder();
    const [first, second] = await Promise.all(['a', 'b'].map((name) => acquireRunLock(join(above, 'saves', name))));
    await first!.release();
    expect(existsSync(join(above, 'saves', 'b'))).toBe(true);
    await second!.release();
    const other = await acquireRunLock(join(above, 'deep', 'c'));
    writeFileSync(join(above, 'kept'), '');
    await other.release();
    expect(readdirSync(above)).toContain('kept');
    expect(existsSync(join(above, 'deep'))).toBe(false);
  });

  test.each([
    ['a dead process', () => ({ ...processIdentity(), pid: deadPid() })],
    ['a process whose number was given away again', () => ({ ...processIdentity(), started: 'long ago' })],
    ['nobody', () => 'garbage'],
  ])('left by %s is taken over', async (_, holder) => {
    const folder = newFolder();
    await (await acquireRunLock(folder)).release();
    await (await acquireRunLock(folder)).release();
    openJsonLines(runPaths(folder).lock).append(holder() as object);
    expect(await runLockHolder(folder)).toBeUndefined();
    const lock = await acquireRunLock(folder);
    expect((await runLockHolder(folder))?.pid).toBe(process.pid);
    await lock.release();
  });

  test('of a process whose owner died is waited for', async () => {
    const folder = newFolder();
    const orphan = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 500)'], { stdio: 'ignore' });
    const dead = { ...processIdentity(), pid: deadPid() };
    openJsonLines(runPaths(folder).lock).append({ ...processIdentity(orphan.pid), owner: dead });
    const lock = await acquireRunLock(folder);
    expect((await runLockHolder(folder))?.pid).toBe(process.pid);
    await lock.release();
  });

  test('of another machine holds while its heart beats', async () => {
    const folder = newFolder();
    await acquireRunLock(folder);
    writeFileSync(runPaths(folder).lock, JSON.stringify({ pid: 1, host: `not-${hostname()}`, started: null }));
    const record = (heartbeat: number) =>
      writeFileSync(
        runPaths(folder).record,
        JSON.stringify({ format: 1, config: {}, heartbeat: new Date(heartbeat).toISOString() }),
      );
    record(Date.now());
    await expect(acquireRunLock(folder)).rejects.toThrow('a run is writing here (process 1)');
    record(Date.now() - 120_000);
    await (await acquireRunLock(folder)).release();
  });

  test('goes to exactly one of many that find it stale', async () => {
    for (let round = 0; round < 20; round++) {
      const folder = newFolder();
      const dead = { ...processIdentity(), pid: deadPid() };
      openJsonLines(runPaths(folder).lock).append(dead);
      // In half of the rounds a process has died while it took the dead lock over.
      if (round % 2 === 1) {
        const content = readFileSync(runPaths(folder).lock);
        const guard = createHash('sha256').update(content).digest('hex').slice(0, 8);
        openJsonLines(`${runPaths(folder).lock}.${guard}`).append(dead);
      }
      const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => acquireRunLock(folder)));
      expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect(readdirSync(folder)).toEqual(['run.lock']);
    }
  });
});

describe('control.jsonl', () => {
  test('gives each complete new line once', async () => {
    const folder = newFolder();
    await acquireRunLock(folder);
    await sendControl(folder, { do: 'stop' });
    const reader = await openControl(folder);
    expect(await reader.read()).toEqual([]);
    await sendControl(folder, { do: 'save' });
    appendFileSync(runPaths(folder).control, '{"do":"set","learning');
    expect(await reader.read()).toEqual(['{"do":"save"}']);
    appendFileSync(runPaths(folder).control, '_rate":0.5}\n');
    expect((await reader.read()).map(parseControl)).toEqual([{ do: 'set', learning_rate: 0.5 }]);
    expect(await reader.read()).toEqual([]);
  });

  test.each([
    ['no json', 'it is no JSON'],
    ['[]', 'it has no "do"'],
    ['{"do":"dance"}', '"do" is none of stop, save, stop-keep-best, set'],
    ['{"do":"set"}', 'it sets none of learning_rate, logging_steps, save_steps, eval_steps'],
    ['{"do":"set","seed":1}', 'only learning_rate, logging_steps, save_steps, eval_steps can be set'],
    ['{"do":"set","learning_rate":"1"}', 'learning_rate is no allowed number'],
    ['{"do":"set","save_steps":0}', 'save_steps is no allowed number'],
  ])('%s is refused', (line, problem) => {
    expect(parseControl(line)).toEqual({ problem });
  });
});

describe('JSON lines', () => {
  test('survive half a line and are filtered atomically', async () => {
    const path = join(newFolder(), 'log.jsonl');
    const writer = openJsonLines(path);
    for (let step = 1; step <= 4; step++) writer.append({ step });
    writer.close();
    appendFileSync(path, '{"step":5');
    expect(await readJsonLines(path)).toHaveLength(4);
    await filterJsonLines(path, ({ step }) => (step as number) <= 2);
    expect(readFileSync(path, 'utf8')).toBe('{"step":1}\n{"step":2}\n');
    await filterJsonLines(`${path}.missing`, () => true);
    expect(existsSync(`${path}.missing`)).toBe(false);
  });

  test('are followed as events to the last one', async () => {
    const folder = newFolder();
    const writer = openJsonLines(runPaths(folder).events);
    const said: TrainEvent[] = [
      { type: 'notice', text: 'a' },
      { type: 'stopped', step: 1, totalSteps: 2, checkpoint: null },
      { type: 'resuming', step: 1, totalSteps: 2, checkpoint: 'checkpoint-1' },
      { type: 'failed', code: 'x', text: 'y' },
    ];
    for (const event of said.slice(0, 3)) writer.append(event);
    const heard: TrainEvent[] = [];
    const following = (async () => {
      for await (const event of followRun(folder, { isAlive: () => true })) heard.push(event);
    })();
    await sleep(250);
    expect(heard).toHaveLength(3);
    writer.append(said[3]!);
    await following;
    expect(heard).toEqual(said);
  });

  test('of a process that died are read to their end', async () => {
    const folder = newFolder();
    openJsonLines(runPaths(folder).events).append({ type: 'notice', text: 'last words' });
    const heard: string[] = [];
    for await (const event of followRun(folder, { isAlive: () => false })) heard.push(event.type);
    expect(heard).toEqual(['notice']);
  });
});

describe('the keeper', () => {
  test('writes run.json at once and beats', async () => {
    const folder = newFolder();
    const lock = await acquireRunLock(folder);
    const keeper = await startKeeper(folder, undefined, { beatMs: 50 });
    await keeper.write({ format: 1, state: 'starting', config: { seed: 1 } });
    const first = (await readRunRecord(folder))!;
    expect(first).toMatchObject({ state: 'starting', config: { seed: 1 } });
    keeper.note({ step: 7 });
    await sleep(300);
    const later = (await readRunRecord(folder))!;
    expect(later).toMatchObject({ state: 'starting', step: 7 });
    expect(Date.parse(later.heartbeat)).toBeGreaterThan(Date.parse(first.heartbeat));
    await keeper.close();
    await lock.release();
  });

  test('ends its process soon after the owner, even while the main thread is blocked', async () => {
    const child = `
      import { startKeeper, processIdentity } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
      await startKeeper(${JSON.stringify(newFolder())}, processIdentity(process.ppid));
      process.send('blocked', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30_000));`;
    const owner = `
      import { spawn } from 'node:child_process';
      const child = spawn(process.execPath, ['--import', 'tsx/esm', '--input-type=module', '-e', ${JSON.stringify(child)}],
        { detached: true, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      child.on('message', () => process.send(child.pid));`;
    const cwd = fileURLToPath(new URL('../..', import.meta.url));
    const parent = spawn(process.execPath, ['--input-type=module', '-e', owner], {
      cwd,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const pid = await new Promise<number>((resolve) => parent.once('message', (value) => resolve(value as number)));
    const trainer = processIdentity(pid);
    expect(isRunning(trainer)).toBe(true);
    parent.kill('SIGKILL');
    const killed = Date.now();
    while (isRunning(trainer) && Date.now() - killed < 5_000) await sleep(50);
    expect(isRunning(trainer)).toBe(false);
    expect(Date.now() - killed).toBeLessThan(3_000);
  });
});

describe('content hashes', () => {
  test('follow the bytes, not the names or times', async () => {
    const folder = newFolder();
    const lock = await acquireRunLock(folder);
    const [a, b] = [join(folder, 'a'), join(folder, 'b')];
    writeFileSync(a, 'same');
    writeFileSync(b, 'same');
    const [first, second] = await hashFiles([a, b]);
    expect(first).toBe(second);
    writeFileSync(b, 'sane');
    expect((await hashFiles([b]))[0]).not.toBe(first);
    expect(await hashNamedFiles([{ name: 'x', path: a }])).not.toBe(await hashNamedFiles([{ name: 'y', path: a }]));
    await expect(hashFiles([join(folder, 'none')])).rejects.toThrow('cannot be read: no such file or folder');
    await lock.release();
  });
});

test('names in a run folder are told apart', () => {
  expect(checkpointStep('checkpoint-120')).toBe(120);
  expect(['checkpoint-', 'checkpoint-1x', 'my-checkpoint-1'].map(checkpointStep)).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(
    [partialCheckpointName(3, 'unfinished'), 'run.json.12.00ff00ff.tmp', 'run.lock.00ff00ff'].every(isLeftover),
  ).toBe(true);
  expect(['checkpoint-3', 'run.json', 'notes.tmp'].some(isLeftover)).toBe(false);
});

test('the allocator is set up beside what the user set', () => {
  expect(withAllocatorSettings(undefined)).toBe(
    'glibc.malloc.mmap_threshold=16777216:glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold=17179869184:glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0',
  );
  expect(withAllocatorSettings('glibc.malloc.arena_max=4:glibc.malloc.check=3')).toBe(
    'glibc.malloc.arena_max=4:glibc.malloc.check=3:glibc.malloc.mmap_threshold=16777216:glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold=17179869184:glibc.malloc.tcache_count=0',
  );
});

test('peak memory is that of this process', () => {
  expect(peakMemoryBytes()).toBeGreaterThan(process.memoryUsage().rss / 2);
});
