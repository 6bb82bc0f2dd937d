/** The main thread's side of the keeper: the run's record, and the watch over its owner. */
import { once } from 'node:events';
import { FileError } from '../errors.ts';
import { siblingModule, startWorker } from '../threads/index.ts';
import { runPaths } from './layout.ts';
import type { ProcessIdentity } from './process-identity.ts';
import type { RunRecord } from './record.ts';

/** What the thread is started with. */
export interface KeeperSettings {
  readonly path: string;
  readonly owner: ProcessIdentity | undefined;
  readonly parentPid: number;
  readonly beatMs: number;
  readonly watchMs: number;
}

/** A message to the thread; with an `id` the record is written at once and the answer carries it. */
export interface KeeperRequest {
  readonly id?: number;
  readonly change: Partial<RunRecord>;
}

/** Keeps a run's record and watches its owner. */
export interface RunKeeper {
  /** Changes the record and resolves when `run.json` stands on the disk with it. */
  write(change: Partial<RunRecord>): Promise<void>;
  /** Changes the record; the next heartbeat writes it. */
  note(change: Partial<RunRecord>): void;
  /** Ends the thread. */
  close(): Promise<void>;
}

/** Often enough for people who look, seldom enough to cost nothing. */
const defaultBeatMs = 5_000;
/** The contract gives a trainer 3 s after its owner's death. */
const defaultWatchMs = 250;

/**
 * Starts the keeper of a run folder; its watch stands when this resolves. Nothing is written before the first `write`;
 * the process ends with SIGKILL when `owner` (left out: nobody) has died.
 */
export async function startKeeper(
  folder: string,
  owner?: ProcessIdentity,
  intervals: { beatMs?: number; watchMs?: number } = {},
): Promise<RunKeeper> {
  const path = runPaths(folder).record;
  const workerData: KeeperSettings = {
    path,
    owner,
    parentPid: process.ppid,
    beatMs: intervals.beatMs ?? defaultBeatMs,
    watchMs: intervals.watchMs ?? defaultWatchMs,
  };
  const worker = startWorker(siblingModule(import.meta.url, 'keeper-worker'), workerData);
  await once(worker, 'message');
  worker.unref();
  const waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  let nextId = 1;
  let failure: Error | undefined;
  worker.on('message', ({ id, problem }: { id: number; problem: string | undefined }) => {
    const waiter = waiting.get(id);
    waiting.delete(id);
    if (problem === undefined) waiter?.resolve();
    else waiter?.reject(new FileError('file-unwritable', { file: path, reason: problem }));
  });
  worker.on('error', (error: Error) => {
    failure = error;
    for (const waiter of waiting.values()) waiter.reject(error);
    waiting.clear();
  });
  const post = (request: KeeperRequest) => {
    if (failure !== undefined) throw failure;
    worker.postMessage(request);
  };
  return {
    write: (change) =>
      new Promise((resolve, reject) => {
        const id = nextId++;
        // A thread that is waited for keeps the process alive until it has answered.
        worker.ref();
        const settle = (then: () => void) => () => {
          if (waiting.size === 0) worker.unref();
          then();
        };
        waiting.set(id, { resolve: settle(resolve), reject: (error) => settle(() => reject(error))() });
        post({ id, change });
      }),
    note: (change) => post({ change }),
    close: async () => {
      await worker.terminate();
    },
  };
}
