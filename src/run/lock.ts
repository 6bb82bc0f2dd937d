/** One writer per run folder: a lock file that names its process, so that one left by a dead process is recognised. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, link, mkdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunError } from '../errors.ts';
import { runPaths } from './layout.ts';
import { isRunning, type ProcessIdentity, processIdentity } from './process-identity.ts';
import { readRunRecord } from './record.ts';

/** After so long without a heartbeat a writer on another machine counts as dead; it beats every 5 s. */
const foreignHeartbeatLimitMs = 60_000;

/** A lock that is held. */
export interface RunLock {
  /** Gives the lock back; the folder goes too where this lock made it and nothing was written to it. */
  release(): Promise<void>;
}

/** Who holds a lock, and whose death ends that process. */
interface Holder extends ProcessIdentity {
  readonly owner: ProcessIdentity | null;
}

/** A holder whose owner is dead ends within 3 s: so long a new start waits for it. */
const orphanGraceMs = 5_000;
const orphanPollMs = 50;

async function readHolder(path: string): Promise<{ text: string; holder: Holder | undefined } | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const value = JSON.parse(text) as Partial<Holder> | null;
    if (typeof value?.pid === 'number' && typeof value.host === 'string') {
      const { pid, host, started = null, owner = null } = value;
      return { text, holder: { pid, host, started, owner } };
    }
  } catch {
    // What is no JSON names no process, so that nobody holds it.
  }
  return { text, holder: undefined };
}

async function isHeld(folder: string, holder: ProcessIdentity | undefined): Promise<boolean> {
  if (holder === undefined) return false;
  if (holder.host === hostname()) return isRunning(holder);
  const record = await readRunRecord(folder).catch(() => undefined);
  return record !== undefined && Date.now() - Date.parse(record.heartbeat) < foreignHeartbeatLimitMs;
}

/** The process that holds the lock of a run folder, or undefined where none that lives does. */
export async function runLockHolder(folder: string): Promise<ProcessIdentity | undefined> {
  const found = await readHolder(runPaths(folder).lock);
  return found !== undefined && (await isHeld(folder, found.holder)) ? found.holder : undefined;
}

/**
 * Takes the lock of a run folder for this process, making the folder where it is missing. A holder whose owner has died
 * is waited for, as it ends by itself.
 * @param owner whose death ends this process; left out: nobody's
 * @throws RunError `run-locked` where a living process holds it.
 */
export async function acquireRunLock(folder: string, owner?: ProcessIdentity): Promise<RunLock> {
  const path = runPaths(folder).lock;
  const madeFolder = (await mkdir(folder, { recursive: true })) !== undefined;
  const own = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  const holder: Holder = { ...processIdentity(), owner: owner ?? null };
  await writeFile(own, `${JSON.stringify(holder)}\n`, { flag: 'wx' });
  const giveUp = Date.now() + orphanGraceMs;
  try {
    for (;;) {
      try {
        await linkOrCopy(own, path);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      await removeStale(folder, path, giveUp);
    }
  } finally {
    await rm(own, { force: true });
  }
  return {
    async release() {
      await rm(path, { force: true });
      if (madeFolder) await rmdir(folder).catch(() => undefined);
    },
  };
}

/** A link appears with its content or not at all, and fails where the name is taken; some disks have no links. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK'].includes(code)) throw error;
    await copyFile(from, to, constants.COPYFILE_EXCL);
  }
}

async function removeStale(folder: string, path: string, giveUp: number): Promise<void> {
  const found = await readHolder(path);
  if (found === undefined) return;
  if (await isHeld(folder, found.holder)) {
    const { pid, owner } = found.holder!;
    if (owner === null || isRunning(owner) || Date.now() > giveUp)
      throw new RunError('run-locked', { dir: folder, pid });
    await sleep(orphanPollMs);
    return;
  }
  const aside = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  // Two may find the same dead lock: who then moved the other's fresh one puts it back.
  const moved = await readFile(aside, 'utf8');
  if (moved !== found.text) await linkOrCopy(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}
