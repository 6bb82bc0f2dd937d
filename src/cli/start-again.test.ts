/** Commands that compute start once more in the environment of their allocator, and the two processes end together. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { expect, it, vi } from 'vitest';
import { withAllocatorSettings } from '../run/index.ts';
import { nodeArguments } from '../threads/index.ts';
import { computesHere } from './command-line.ts';
import { environmentToStartIn } from './start-again.ts';

const isLinux = process.platform === 'linux';
const reason = isLinux ? '' : ' (skipped: the settings are those of Linux)';

it('once is enough, and what the user has set stays', () => {
  const env = { HOME: '/home/me', GLIBC_TUNABLES: 'glibc.malloc.arena_max=4' };
  const first = environmentToStartIn(env, 'linux');
  expect(first).toEqual({ HOME: '/home/me', GLIBC_TUNABLES: withAllocatorSettings('glibc.malloc.arena_max=4') });
  expect(environmentToStartIn(first!, 'linux')).toBeUndefined();
  expect(environmentToStartIn(env, 'darwin')).toBeUndefined();
});

it('is for commands that compute, not for those that start a process of their own, nor for help', () => {
  expect(computesHere(['chat', 'chat.yaml'])).toBe(true);
  expect(computesHere(['study', 'suppress', 'study.yaml'])).toBe(true);
  for (const words of [['train', 'a.yaml'], ['serve'], ['chat', '--help'], ['study'], []]) {
    expect(computesHere(words)).toBe(false);
  }
});

it.skipIf(!isLinux)(`a killed command leaves nothing that computes${reason}`, { timeout: 60_000 }, async () => {
  const { GLIBC_TUNABLES: _, ...env } = process.env;
  const main = new URL('main.ts', import.meta.url);
  const command = spawn(process.execPath, [...nodeArguments(main), 'chat', 'model_name_or_path=assets/demo/model'], {
    env,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  const childOf = (): string => readFileSync(`/proc/${command.pid}/task/${command.pid}/children`, 'utf8').trim();
  await vi.waitFor(() => expect(childOf()).toMatch(/^\d+$/), { timeout: 30_000, interval: 20 });
  const child = childOf();
  command.kill('SIGKILL');
  await once(command, 'exit');
  await vi.waitFor(() => expect(existsSync(`/proc/${child}`)).toBe(false), { timeout: 30_000, interval: 20 });
});
