/** Starting a run's own process with the environment that its memory needs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { nodeArguments } from '../threads/index.ts';

/** Blocks from this size on may be mapped by themselves, where nothing in the heap is free for them. */
export const mappedFromBytes = 16 << 20;

/**
 * glibc's allocator settings under which onnxruntime needs no arena, measured (NOTES.md). Smaller blocks stay in the heap
 * and are not given back after each step; one heap serves all threads. Larger ones come in many sizes and would leave holes
 * there that the next one does not fit into: they come from the system and go back to it, in huge pages where it has them.
 */
const allocatorSettings: Readonly<Record<string, string>> = {
  'glibc.malloc.mmap_threshold': String(mappedFromBytes),
  'glibc.malloc.hugetlb': '1',
  'glibc.malloc.trim_threshold': '17179869184',
  'glibc.malloc.arena_max': '1',
  // small freed blocks that a thread keeps for itself never join their neighbours: they split holes for good, and memory grows from
  // step to step (135M finely cut: 728 MB and rising with them, 343 MB without)
  'glibc.malloc.tcache_count': '0',
};

/** `GLIBC_TUNABLES` with our allocator settings added to those that stand there; a user's own values win. */
export function withAllocatorSettings(present: string | undefined): string {
  const own = present === undefined || present === '' ? [] : present.split(':');
  const named = new Set(own.map((setting) => setting.split('=')[0]));
  const added = Object.entries(allocatorSettings).filter(([name]) => !named.has(name));
  return [...own, ...added.map(([name, value]) => `${name}=${value}`)].join(':');
}

/**
 * Starts a module of ours as a process of its own, in its own process group, so that a Ctrl-C in the terminal reaches
 * its owner only. An IPC channel carries the start; standard output and error go to `output`
 * (a file descriptor, or pipes that the caller reads).
 */
export function spawnModule(module: URL, output: number | 'pipe'): ChildProcess {
  const env =
    process.platform === 'linux'
      ? { ...process.env, GLIBC_TUNABLES: withAllocatorSettings(process.env['GLIBC_TUNABLES']) }
      : process.env;
  return spawn(process.execPath, nodeArguments(module), {
    detached: true,
    env,
    stdio: ['ignore', output, output, 'ipc'],
    windowsHide: true,
  });
}
