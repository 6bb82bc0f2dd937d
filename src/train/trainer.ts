/** The trainer process: takes its order from its starter, holds the folder's lock, runs the recipe, reports how it ended. */
import { rmSync } from 'node:fs';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { FettleConfig } from '../config/index.ts';
import { FettleError } from '../errors.ts';
import { writeError } from '../formats/index.ts';
import { loadPlugins } from '../plugins/index.ts';
import { acquireRunLock, openJsonLines, runPaths, type RunKeeper, startKeeper, type TrainEvent } from '../run/index.ts';
import type { TrainerTools } from './job.ts';
import { withModelsThatFit } from './models-that-fit.ts';
import { sendableError, type StartRequest, type TrainerMessage } from './protocol.ts';
import { evaluateAlone, pt, type Recipe, sft } from './recipes/index.ts';
import type { ScalarSink } from './reporter.ts';
import { openSession, type Session } from './session.ts';

/** What a trainer is made of. */
export interface TrainerParts {
  readonly tools: TrainerTools;
  readonly versions: Readonly<Record<string, string>>;
  /** Opens where scalars go besides the log. */
  readonly openSinks?: (session: Session) => Promise<readonly ScalarSink[]>;
  /** In place of the keeper's thread: for tests that train in their own process. */
  readonly openKeeper?: typeof startKeeper;
}

const recipes: Readonly<Record<FettleConfig['stage'], Recipe>> = { sft, pt };

/** What Ctrl-C ends a program with. */
const interruptedExitCode = 130;

/** Versions that a run's record names. */
export async function packageVersions(): Promise<Record<string, string>> {
  const file = new URL('../../package.json', import.meta.url);
  const { version, dependencies } = JSON.parse(await readFile(file, 'utf8')) as {
    version: string;
    dependencies: Record<string, string>;
  };
  return { fettle: version, node: process.versions.node, onnxruntime: dependencies['onnxruntime-node'] ?? 'none' };
}

/** Runs this process as a trainer and ends it. Started by `train` only. */
export async function runTrainer(parts: TrainerParts): Promise<never> {
  const tell = (message: TrainerMessage) => {
    // The starter of a detached run may have gone.
    if (process.connected) process.send?.(message);
  };
  const ordered = once(process, 'message') as Promise<[StartRequest]>;
  tell({ type: 'ready' });
  const [request] = await ordered;
  // Without this the open channel would keep a process alive that has nothing left to do.
  process.channel?.unref();
  let begun = false;
  let stops = 0;
  const stop = () => {
    stops += 1;
    // Before the run has begun there is nothing to save; a second request ends at once.
    if (begun && stops === 1) return;
    if (!begun) rmSync(runPaths(request.folder).lock, { force: true });
    process.exit(interruptedExitCode);
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  const exitCode = await serveTraining(parts, request, {
    tell(message) {
      if (message.type === 'accepted') begun = true;
      tell(message);
    },
    stopRequested: () => stops > 0,
  });
  // The last message must be on its way before the process ends.
  if (process.connected) await new Promise((resolve) => void process.send!({ type: 'end' }, resolve));
  process.exit(exitCode);
}

/** Trains in this process, with the lock of the folder held. Returns what a trainer process ends with. */
export async function serveTraining(
  { tools, versions, openSinks, openKeeper = startKeeper }: TrainerParts,
  { folder, config: written, given, owner }: StartRequest,
  outside: { readonly tell: (message: TrainerMessage) => void; readonly stopRequested: () => boolean },
): Promise<number> {
  const { tell, stopRequested } = outside;
  let begun = false;
  let keeper: RunKeeper | undefined;
  try {
    const lock = await acquireRunLock(folder, owner ?? undefined);
    try {
      keeper = await openKeeper(folder, owner ?? undefined);
      // The command line has done so, and shown it; a program that calls `train` may name a model on a hub too.
      await loadPlugins(written.plugins);
      const config = await withModelsThatFit(written, { isGiven: (key) => given.includes(key) });
      const hear = (event: TrainEvent) => tell({ type: 'event', event });
      if (!config.do_train) {
        const context = { config, threads: config.threads ?? availableParallelism(), startedAt: new Date(), say: hear };
        await evaluateAlone(folder, tools, { ...context, isGiven: (key) => given.includes(key) });
        return 0;
      }
      const session = await openSession({
        folder,
        config,
        given,
        keeper,
        versions,
        owner: {
          hear,
          accept: (eventsFrom) => {
            begun = true;
            tell({ type: 'accepted', eventsFrom });
          },
        },
      });
      const end = await recipes[config.stage]({
        session,
        tools,
        stopRequested,
        openSinks: async () => (await openSinks?.(session)) ?? [],
      });
      return end.kind === 'done' ? 0 : interruptedExitCode;
    } catch (error) {
      if (begun) await recordFailure(folder, keeper, await asFileError(error, folder));
      throw error;
    } finally {
      await lock.release();
    }
  } catch (thrown) {
    const error = await asFileError(thrown, folder);
    // What is no user's error goes to the log with its stack.
    if (!(error instanceof FettleError)) process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
    tell({ type: 'error', error: sendableError(error) });
    return 1;
  } finally {
    await keeper?.close();
  }
}

/** A full disk is a user's error, whichever file met it first. */
async function asFileError(error: unknown, folder: string): Promise<unknown> {
  const { code } = (error ?? {}) as { code?: unknown };
  return code === 'ENOSPC' || code === 'EDQUOT' ? writeError(error, folder) : error;
}

/** Leaves the failure in the folder; a disk that is full must not hide it. */
async function recordFailure(folder: string, keeper: RunKeeper | undefined, error: unknown): Promise<void> {
  const sent = sendableError(error);
  const told = { code: sent.code ?? 'internal-error', text: sent.message };
  try {
    await keeper?.write({ state: 'failed', error: told });
    const events = openJsonLines(runPaths(folder).events);
    events.append({ type: 'failed', ...told });
    events.close();
  } catch {
    // The error itself still travels to the starter.
  }
}
