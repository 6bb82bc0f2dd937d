/**
 * The thread beside a trainer's main thread: it writes `run.json`, heartbeat included, and ends the process when its
 * owner dies. Both go on while native code blocks the main thread, which is why they stand here.
 */
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { isRunning } from './process-identity.ts';
import type { KeeperRequest, KeeperSettings } from './keeper.ts';

const settings = workerData as KeeperSettings;
let record: Record<string, unknown> | undefined;

/** Readers see the old file or the new one, never half of one. The thread is the file's only writer. */
function writeRecord(): void {
  if (record === undefined) return;
  const temporary = `${settings.path}.${process.pid}.00000000.tmp`;
  const descriptor = openSync(temporary, 'w');
  try {
    writeSync(descriptor, `${JSON.stringify({ ...record, heartbeat: new Date().toISOString() }, null, 2)}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(temporary, settings.path);
}

parentPort?.on('message', (request: KeeperRequest) => {
  record = { ...record, ...request.change };
  if (request.id === undefined) return;
  let problem: string | undefined;
  try {
    writeRecord();
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  parentPort?.postMessage({ id: request.id, problem });
});

setInterval(() => {
  try {
    writeRecord();
  } catch {
    // A full disk must not end the run through its heartbeat: the next real write reports it.
  }
}, settings.beatMs);

const { owner } = settings;
if (owner !== undefined) {
  const ownerIsParent = owner.pid === settings.parentPid;
  setInterval(() => {
    // A dead parent is noticed at once by the change of parent, also while it is still a zombie.
    const gone = ownerIsParent && process.platform !== 'win32' ? process.ppid !== owner.pid : !isRunning(owner);
    if (gone) process.kill(process.pid, 'SIGKILL');
  }, settings.watchMs);
}

// The first message says that the watch stands: only then may the main thread block.
parentPort?.postMessage({ id: 0 });
