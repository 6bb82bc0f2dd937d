/** Starting a run's own process with the environment that its memory needs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { nodeArguments } from '../threads/index.ts';

/** Where Linux says whether it gives huge pages to programs that ask for them. */
const hugePagesFile = '/sys/kernel/mm/transparent_hugepage/enabled';

/**
 * glibc's allocator settings under which onnxruntime needs no arena, measured (NOTES.md). Small blocks stay in the heap and
 * are not given back after each step; one heap serves all threads. Large blocks come in many sizes and would leave holes there
 * that the next one does not fit into: they come from the system and go back to it, in huge pages, as small ones cost time.
 */
function allocatorSettings(hugePages: boolean): Readonly<Record<string, string>> {
  return {
    'glibc.malloc.mmap_threshold': String(hugePages ? 8 << 20 : 32 << 20),
    ...(hugePages ? { 'glibc.malloc.hugetlb': '1' } : {}),
    'glibc.malloc.trim_threshold': '17179869184',
    'glibc.malloc.arena_max': '1',
    // freed small blocks that a thread keeps for itself never join their neighbours: they split holes for good, and memory grows
    // from step to step
    'glibc.malloc.tcache_count': '0',
  };
}

function offersHugePages(): boolean {
  try {
    return !readFileSync(hugePagesFile, 'utf8').includes('[never]');
  } catch {
    return false;
  }
}

/** `GLIBC_TUNABLES` with our allocator settings added to those that stand there; a user's own values win. */
export function withAllocatorSettings(present: string | undefined, hugePages = offersHugePages()): string {
  const own = present === undefined || present === '' ? [] : present.split(':');
  const named = new Set(own.map((setting) => setting.split('=')[0]));
  const added = Object.entries(allocatorSettings(hugePages)).filter(([name]) => !named.has(name));
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
