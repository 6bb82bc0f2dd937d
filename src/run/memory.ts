/** How much memory this process has needed at most. */
import { readFileSync } from 'node:fs';

/** Peak resident memory in bytes: VmHWM (anonymous plus mapped) on Linux, the system's maximum elsewhere. */
export function peakMemoryBytes(): number {
  try {
    const match = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (match !== null) return Number(match[1]) * 1024;
  } catch {
    // No /proc: asked of the system below.
  }
  return process.resourceUsage().maxRSS * 1024;
}

/** How often the kernel has killed a process of this machine or container for memory; undefined where it does not say. */
export function memoryKillCount(): number | undefined {
  for (const path of ['/sys/fs/cgroup/memory.events', '/proc/vmstat']) {
    try {
      const match = /^oom_kill (\d+)/m.exec(readFileSync(path, 'utf8'));
      if (match !== null) return Number(match[1]);
    } catch {
      // Not on this system.
    }
  }
  return undefined;
}
