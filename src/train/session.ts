/**
 * A trainer's hold on its run folder. Until `begin` nothing but the lock is written, so that a refused start leaves the
 * folder as it was; from then on the folder tells everything.
 */
import { randomUUID } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, resolve, sep } from 'node:path';
import type { FettleConfig } from '../config/index.ts';
import { RunError } from '../errors.ts';
import { syncFolder } from '../formats/index.ts';
import {
  type ControlReader,
  filterJsonLines,
  hashNamedFiles,
  type ObeyedControl,
  openControl,
  openJsonLines,
  processIdentity,
  type RunKeeper,
  runPaths,
  type RunRecord,
  type TrainEvent,
} from '../run/index.ts';
import { removeLeftovers, restoreTensors } from './checkpoint.ts';
import { decideStart, isOwned, type Start } from './decide.ts';
import type { TrainableTensor } from './engine.ts';
import type { Optimizer } from '../optim/index.ts';
import type { ToolContext } from './job.ts';
import { initialState, type LoopState, notice, type Say } from './state.ts';

/** Names of the things whose content decides the result, as errors call them. */
const contentNames = { base: 'base model', data: 'training data' } as const;

/** What a session is opened with. */
export interface SessionOptions {
  readonly folder: string;
  readonly config: FettleConfig;
  /** Keys of the config that somebody wrote. */
  readonly given: readonly string[];
  readonly keeper: RunKeeper;
  /** Versions that the record names: of Fettle, Node and the runtime. */
  readonly versions: Readonly<Record<string, string>>;
  /** Hears every event that is said before `begin`, and once, at `begin`, from which byte on the folder tells the rest. */
  readonly owner: { hear(event: TrainEvent): void; accept(eventsFrom: number): void };
}

/** A run that has begun: its folder is ours. */
export interface BegunRun {
  readonly id: string;
  readonly folder: string;
  readonly state: LoopState;
  readonly control: ControlReader;
  readonly replay: readonly ObeyedControl[];
  readonly hashes: Readonly<Record<string, string>>;
  /** Path of the checkpoint that the run goes on from. */
  readonly checkpoint: string | null;
  recordControl(control: ObeyedControl): Promise<void>;
}

/** A start that has been decided on and not yet begun. */
export interface Session {
  readonly folder: string;
  readonly config: FettleConfig;
  readonly keeper: RunKeeper;
  /** Threads of the arithmetic: another number may change the last bits, so that a continued run keeps its own. */
  readonly threads: number;
  readonly say: Say;
  /** What the tools that make data and model are given. */
  readonly tooling: ToolContext;
  /**
   * Compares the base's content with that of the run that is continued, and refuses a folder that would be overwritten.
   * @throws RunError `run-content-differs`, `run-folder-is-input`.
   */
  requireBase(files: readonly { readonly name: string; readonly path: string }[]): Promise<void>;
  /** Compares the data's content likewise. */
  requireData(hash: string): void;
  /** Makes the folder this run's own and puts weights and moments of the checkpoint back, where there is one. */
  begin(parameters: readonly TrainableTensor[], optimizer: Optimizer, totalSteps: number): Promise<BegunRun>;
}

/** Decides how the run begins, with the lock of the folder held. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { folder, config, keeper, owner } = options;
  let start = await decideStart(folder, config);
  const buffered: TrainEvent[] = [];
  const say: Say = (event) => {
    buffered.push(event);
    owner.hear(event);
  };
  if (start.kind === 'fresh' && start.replaces !== undefined) {
    say(notice('run-replaced', { dir: folder, what: `key ${start.replaces}` }));
  }
  const recorded = start.kind === 'resume' ? start.record.threads : undefined;
  const threads = config.threads ?? recorded ?? availableParallelism();
  if (recorded !== undefined && recorded !== threads) {
    say(notice('resume-other-threads', { before: recorded, now: threads }));
  }
  if (start.kind === 'resume') {
    for (const [what, now] of Object.entries(options.versions)) {
      const before = start.record.versions[what];
      if (before !== undefined && before !== now) say(notice('resume-other-version', { what, before, now }));
    }
  }
  // A continued run renders its rows as of the day on which it was begun.
  const startedAt = start.kind === 'resume' ? new Date(start.record.createdAt) : new Date();
  const hashes: Record<string, string> = {};

  /** Notes a content; where it differs from the run's, the run is another one: replaced if allowed, else refused. */
  const compare = (what: keyof typeof contentNames, hash: string) => {
    hashes[what] = hash;
    if (start.kind !== 'resume' || start.record.hashes[what] === hash) return;
    if (!config.overwrite_output_dir || config.resume_from_checkpoint === true) {
      const step = start.checkpoint?.step ?? 0;
      throw new RunError('run-content-differs', { dir: folder, what: contentNames[what], step });
    }
    say(notice('run-replaced', { dir: folder, what: contentNames[what] }));
    start = { kind: 'fresh' };
  };

  return {
    folder,
    config,
    keeper,
    threads,
    say,
    tooling: {
      config,
      threads,
      startedAt,
      say,
      isGiven: (key) => options.given.includes(key),
      // asked for when base and data have been compared: a run that is replaced chooses anew
      get form() {
        return start.kind === 'resume' ? start.checkpoint?.form : undefined;
      },
    },
    async requireBase(files) {
      const own = resolve(folder) + sep;
      const inside = files.find(({ path }) => resolve(path).startsWith(own));
      if (inside !== undefined) throw new RunError('run-folder-is-input', { dir: folder, file: inside.path });
      compare('base', await hashNamedFiles(files));
    },
    requireData: (hash) => compare('data', hash),
    begin: (parameters, optimizer, totalSteps) =>
      begin({ ...options, start, startedAt, threads, hashes, buffered, say }, parameters, optimizer, totalSteps),
  };
}

interface Beginning extends SessionOptions {
  readonly start: Start;
  readonly startedAt: Date;
  readonly threads: number;
  readonly hashes: Readonly<Record<string, string>>;
  readonly buffered: TrainEvent[];
  readonly say: Say;
}

async function begin(
  beginning: Beginning,
  parameters: readonly TrainableTensor[],
  optimizer: Optimizer,
  totalSteps: number,
): Promise<BegunRun> {
  const { folder, config, keeper, versions, owner, start, startedAt, threads, hashes, buffered, say } = beginning;
  const paths = runPaths(folder);
  const control = await openControl(folder);
  const resumed = start.kind === 'resume' ? start.record : undefined;
  const checkpoint = start.kind === 'resume' ? start.checkpoint : start.from;
  if (checkpoint !== undefined) await restoreTensors(checkpoint.folder, parameters, optimizer);
  const state: LoopState = checkpoint === undefined ? initialState() : { ...checkpoint.state };
  if (start.kind === 'fresh' && checkpoint !== undefined) {
    // A checkpoint of another folder brings its steps, not its folder's best checkpoint.
    state.bestSaved = null;
  }
  const now = new Date().toISOString();
  const record: RunRecord = {
    format: 1,
    id: resumed?.id ?? randomUUID(),
    kind: 'train',
    state: 'starting',
    pid: process.pid,
    process: processIdentity(),
    createdAt: startedAt.toISOString(),
    startedAt: now,
    heartbeat: now,
    config: { ...config },
    hashes,
    versions,
    threads,
    step: state.step,
    totalSteps,
    resumes: resumed === undefined ? 0 : resumed.resumes + 1,
    control: resumed?.control ?? [],
  };
  if (start.kind === 'resume') {
    for (const { name, problem } of start.passedOver) {
      say(notice('checkpoint-passed-over', { name, reason: problem }));
    }
    say({ type: 'resuming', step: state.step, totalSteps, checkpoint: checkpoint?.folder ?? null });
  }
  // The record comes first: checkpoints that carry another run's id are not this run's, whenever it may be killed.
  await keeper.write(record);
  // A run that was killed while it cleared its folder has no checkpoint: it clears it again.
  if (checkpoint === undefined || start.kind === 'fresh') await clearFolder(folder);
  else {
    await removeLeftovers(folder, state.step);
    // The history of the checkpoint says which lines are its own: later ones are written again.
    const known = new Set(state.history.map((entry) => `${entry.step} ${entry.eval_loss === undefined}`));
    await filterJsonLines(paths.log, (line) =>
      known.has(`${String(line['current_steps'])} ${line['eval_loss'] === undefined}`),
    );
  }
  await syncFolder(folder);
  const events = openJsonLines(paths.events);
  for (const event of buffered) events.append(event);
  events.close();
  owner.accept((await stat(paths.events)).size);

  let obeyed = record.control;
  return {
    id: record.id,
    folder,
    state,
    control,
    replay: obeyed.filter(({ step }) => step > state.step),
    hashes,
    checkpoint: checkpoint?.folder ?? null,
    recordControl: (order) => {
      obeyed = [...obeyed, order];
      return keeper.write({ control: obeyed });
    },
  };
}

/** Removes what a former run or model left; the record and the lock, which are ours already, stay. */
async function clearFolder(folder: string): Promise<void> {
  const paths = runPaths(folder);
  await removeLeftovers(folder, -1);
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (!isOwned(name) || path === paths.record || path === paths.lock || path === paths.output) continue;
    await rm(path, { recursive: true, force: true });
  }
}
