/** Telling one process from another that later got the same number: pid, start time and host together. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** A process, told apart from all others of all machines. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in the system's own terms; null where the system does not say. */
  readonly started: string | null;
  readonly host: string;
}

/** State and start time of a process as Linux tells them; undefined elsewhere or when there is none. */
function linuxStat(pid: number): { state: string; started: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name stands in parentheses and may itself hold blanks and parentheses: fields count from the last.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return { state: fields[0]!, started: `${boot}/${fields[19]!}` };
  } catch {
    return undefined;
  }
}

/** The identity of a process of this machine. */
export function processIdentity(pid = process.pid): ProcessIdentity {
  return { pid, started: linuxStat(pid)?.started ?? null, host: hostname() };
}

/** Whether that very process still runs here. A zombie does not. Says nothing about other hosts: true there. */
export function isRunning(identity: ProcessIdentity): boolean {
  if (identity.host !== hostname()) return true;
  const stat = linuxStat(identity.pid);
  if (stat !== undefined) {
    return stat.state !== 'Z' && stat.state !== 'X' && (identity.started === null || stat.started === identity.started);
  }
  if (process.platform === 'linux') return false;
  try {
    process.kill(identity.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
