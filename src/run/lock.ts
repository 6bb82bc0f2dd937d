/** One writer per run folder: a lock file that names its process, so that one left by a dead process is recognised. */
import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, link, mkdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
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
const retryMs = 50;

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
  // the uppermost folder that was missing, if any
  const made = await mkdir(folder, { recursive: true });
  const holder: Holder = { ...processIdentity(), owner: owner ?? null };
  const giveUp = Date.now() + orphanGraceMs;
  while (!(await take(folder, path, holder))) {
    const found = await readHolder(path);
    if (found?.holder !== undefined && (await isHeld(folder, found.holder))) {
      const { pid, owner: itsOwner } = found.holder;
      const endsByItself = itsOwner !== null && !isRunning(itsOwner) && Date.now() < giveUp;
      if (!endsByItself) throw new RunError('run-locked', { dir: folder, pid });
    }
    await sleep(retryMs);
  }
  return {
    async release() {
      await rm(path, { force: true });
      if (made !== undefined) await removeEmpty(resolve(folder), resolve(made));
    },
  };
}

/** Removes a folder and those above it, up to `last`, as far as they are empty. */
async function removeEmpty(folder: string, last: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch {
    return;
  }
  if (folder !== last && folder.startsWith(last)) await removeEmpty(dirname(folder), last);
}

/**
 * Makes `path` this process's, where it is free or was left by a dead process; false where a living one has it.
 *
 * A dead lock is replaced under a second lock, whose name is made from the dead one's content: only one process at a time
 * may replace exactly that content, and it looks again before it does. Should it die in between, its own second lock is a
 * dead lock like any other.
 */
async function take(folder: string, path: string, holder: Holder): Promise<boolean> {
  const own = await writeOwn(path, holder);
  try {
    if (await linkOrCopy(own, path)) return true;
    const found = await readHolder(path);
    if (found === undefined || (await isHeld(folder, found.holder))) return false;
    const guard = `${path}.${createHash('sha256').update(found.text).digest('hex').slice(0, 8)}`;
    if (!(await take(folder, guard, holder))) return false;
    try {
      if ((await readHolder(path))?.text !== found.text) return false;
      await rename(own, path);
      return true;
    } finally {
      await rm(guard, { force: true });
    }
  } finally {
    await rm(own, { force: true });
  }
}

async function writeOwn(path: string, holder: Holder): Promise<string> {
  const own = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  // The nonce tells two locks of one process apart.
  await writeFile(own, `${JSON.stringify({ ...holder, nonce: randomBytes(8).toString('hex') })}\n`, { flag: 'wx' });
  return own;
}

/** A link appears with its content or not at all; false where the name is taken. Some disks have no links. */
async function linkOrCopy(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to).catch(async (error: NodeJS.ErrnoException) => {
      if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK'].includes(error.code ?? '')) throw error;
      await copyFile(from, to, constants.COPYFILE_EXCL);
    });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
