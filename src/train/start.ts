/** Starting a training: `train(config)` starts the trainer process and follows the run folder that it writes. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, statSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { FettleConfig } from '../config/index.ts';
import { RunError } from '../errors.ts';
import { writeJsonFile } from '../formats/index.ts';
import {
  acquireRunLock,
  type EvalResults,
  followRun,
  isFinalEvent,
  memoryKillCount,
  openJsonLines,
  processIdentity,
  readRunRecord,
  runPaths,
  type RunState,
  sendControl,
  spawnModule,
  type TrainEvent,
  type TrainResults,
} from '../run/index.ts';
import { siblingModule } from '../threads/index.ts';
import { receivedError, type SentError, type StartRequest, type TrainerMessage } from './protocol.ts';

/** How a run ended. */
export interface TrainEnd {
  readonly state: 'done' | 'stopped';
  readonly step: number;
  readonly totalSteps: number;
  /** The checkpoint that a stopped run goes on from. */
  readonly checkpoint: string | null;
  /** The object of `train_results.json`; null where the run was stopped. */
  readonly results: TrainResults | null;
  /** The object of `eval_results.json`, where the start was only to evaluate. */
  readonly evaluation?: EvalResults;
}

/** A training that was started. */
export interface TrainRun {
  /** The run folder, absolute. */
  readonly folder: string;
  /** What the run says, from its start to its end; each call of the iterator follows from the start. */
  readonly events: AsyncIterable<TrainEvent>;
  /** Resolves when the run has begun and its folder is its own: a detached run needs its starter no longer. */
  readonly begun: Promise<{ readonly pid: number }>;
  /** How the run ended. Rejects with the error that ended it. */
  readonly done: Promise<TrainEnd>;
  /** Finishes the running step, saves, and resolves when the trainer has ended. The run can be continued. */
  stop(): Promise<void>;
  /** Ends the trainer at once; the last checkpoint is intact. */
  kill(): Promise<void>;
}

/** How a training is started. */
export interface StartOptions {
  /** The trainer outlives this process. Left out: as `detach` in the config says. */
  readonly detach?: boolean;
  /** The keys that somebody wrote, as `LoadedConfig` knows them: they must agree with an adapter that is continued. */
  readonly given?: readonly string[];
  /** The trainer's program, in place of Fettle's own: for doubles in tests. */
  readonly trainer?: URL;
}

/** What a trainer has printed last is kept up to this length, for the case that it dies. */
const keptOutputCharacters = 4_000;
/** Of that an error shows so much. */
const shownOutputCharacters = 400;
/** A trainer that is still preparing has nothing to save: it is killed where it does not end by itself. */
const preparingGraceMs = 3_000;

/**
 * Starts a training in a process of its own. The process ends when this one dies, unless it is detached.
 * @throws RunError `run-folder-missing` where the config names no `output_dir`.
 */
export function train(config: FettleConfig, options: StartOptions = {}): TrainRun {
  if (config.output_dir === undefined) throw new RunError('run-folder-missing', { key: 'output_dir' });
  const folder = resolve(config.output_dir);
  return new StartedTraining(folder, config, options);
}

class StartedTraining implements TrainRun {
  readonly folder: string;
  readonly begun: Promise<{ readonly pid: number }>;
  readonly #config: FettleConfig;
  readonly #detached: boolean;
  readonly #child: ChildProcess;
  readonly #killsBefore = memoryKillCount();
  readonly #heard: TrainEvent[] = [];
  #done: Promise<TrainEnd> | undefined;
  #output = '';
  #outputFile: string | undefined;
  #eventsFrom: number | undefined;
  #error: SentError | undefined;
  #exit: { code: number | null; signal: NodeJS.Signals | null } | undefined;
  #ended: 'stopped' | 'killed' | undefined;
  #peakBytes: number | null = null;
  #segmented = false;
  #step = 0;
  #secondsPerStep: number | null = null;
  #wake: () => void = () => undefined;
  #news: Promise<void> = Promise.resolve();

  constructor(folder: string, config: FettleConfig, options: StartOptions) {
    this.folder = folder;
    this.#config = config;
    this.#detached = options.detach ?? config.detach;
    this.#renew();
    const module = options.trainer ?? siblingModule(import.meta.url, 'trainer-main');
    this.#child = this.#spawn(module);
    const request: StartRequest = {
      type: 'start',
      folder,
      config,
      given: options.given ?? [],
      owner: this.#detached ? null : processIdentity(),
    };
    this.begun = new Promise((accept, refuse) => {
      this.#child.on('message', (message: TrainerMessage | { type: 'end' }) => {
        if (message.type === 'ready') this.#child.send(request);
        if (message.type === 'event') this.#heard.push(message.event);
        if (message.type === 'error') this.#error = message.error;
        if (message.type === 'accepted') {
          this.#eventsFrom = message.eventsFrom;
          accept({ pid: this.#child.pid! });
          if (this.#detached) this.#letGo();
        }
        this.#renew();
      });
      this.#child.on('error', (error) => {
        this.#exit = { code: 1, signal: null };
        this.#renew();
        refuse(error);
      });
      this.#child.once('exit', (code, signal) => {
        this.#exit = { code, signal };
        this.#renew();
        // A run that has begun tells its end itself.
        if (this.#eventsFrom === undefined) void this.#failure().then(refuse, refuse);
      });
    });
    // Often not looked at; an error is then told by `done` or by the events.
    this.begun.catch(() => undefined);
    // Following keeps this process alive, which a detached run does not ask for.
    if (!this.#detached) this.done.catch(() => undefined);
  }

  get done(): Promise<TrainEnd> {
    this.#done ??= this.#follow();
    return this.#done;
  }

  #spawn(module: URL): ChildProcess {
    if (!this.#detached) {
      const child = spawnModule(module, 'pipe');
      const keep = (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-keptOutputCharacters);
      };
      child.stdout?.on('data', keep);
      child.stderr?.on('data', keep);
      return child;
    }
    // A pipe would break when this process ends: a detached trainer prints into a log.
    mkdirSync(this.folder, { recursive: true });
    this.#outputFile = runPaths(this.folder).output;
    const descriptor = openSync(this.#outputFile, 'a');
    const child = spawnModule(module, descriptor);
    closeSync(descriptor);
    return child;
  }

  /** Wakes those who wait for news of the process. */
  #renew(): void {
    this.#wake();
    this.#news = new Promise((wake) => {
      this.#wake = wake;
    });
  }

  /** A detached trainer must not keep its starter alive. */
  #letGo(): void {
    this.#child.disconnect();
    this.#child.unref();
  }

  get events(): AsyncIterable<TrainEvent> {
    const iterate = () => this.#iterate();
    return { [Symbol.asyncIterator]: iterate };
  }

  async *#iterate(): AsyncGenerator<TrainEvent, void> {
    // Until the run has begun its news come from the process, from then on from the folder.
    for (let next = 0; ;) {
      const news = this.#news;
      while (next < this.#heard.length) yield this.#heard[next++]!;
      if (this.#eventsFrom !== undefined || this.#exit !== undefined) break;
      await news;
    }
    if (this.#eventsFrom === undefined) return;
    yield* followRun(this.folder, { from: this.#eventsFrom, isAlive: () => this.#exit === undefined });
  }

  async #follow(): Promise<TrainEnd> {
    let last: TrainEvent | undefined;
    let totalSteps = 0;
    for await (const event of this.events) {
      if (event.type === 'log') {
        this.#peakBytes = event.line.peak_memory_bytes;
        totalSteps = event.line.total_steps;
      }
      if (event.type === 'resuming') this.#step = event.step;
      if (event.type === 'plan') {
        this.#segmented = event.entries.some(({ name, value }) => name === 'step_plan' && value === 'segmented');
      }
      if (event.type === 'log' || event.type === 'progress') {
        this.#step = event.type === 'log' ? event.line.current_steps : event.step;
        this.#secondsPerStep = event.secondsPerStep;
      }
      if (isFinalEvent(event)) last = event;
    }
    await this.#exited();
    if (last?.type === 'done') {
      return { state: 'done', step: this.#step, totalSteps, checkpoint: null, results: last.results };
    }
    if (last?.type === 'evaluated') {
      return { state: 'done', step: 0, totalSteps: 0, checkpoint: null, results: null, evaluation: last.results };
    }
    if (last?.type === 'stopped') {
      const { checkpoint } = last;
      return { state: 'stopped', step: last.step, totalSteps: last.totalSteps, checkpoint, results: null };
    }
    if (this.#ended !== undefined && this.#error === undefined) {
      await this.#markEnded('stopped');
      const record = await readRunRecord(this.folder).catch(() => undefined);
      return {
        state: 'stopped',
        step: record?.step ?? 0,
        totalSteps: record?.totalSteps ?? 0,
        checkpoint: null,
        results: null,
      };
    }
    throw await this.#failure();
  }

  async #exited(): Promise<void> {
    while (this.#exit === undefined) await this.#news;
    await this.#cleanOutput();
  }

  /** A log without a word is no log. */
  async #cleanOutput(): Promise<void> {
    const file = this.#outputFile;
    if (file !== undefined && existsSync(file) && statSync(file).size === 0) await rm(file, { force: true });
  }

  /** The error of a trainer that has ended without a result. */
  async #failure(): Promise<Error> {
    if (this.#error !== undefined) return receivedError(this.#error);
    const { code, signal } = this.#exit ?? { code: null, signal: null };
    let error: RunError;
    if (signal === 'SIGKILL') {
      const kills = memoryKillCount();
      error = new RunError('trainer-killed-for-memory', {
        setting: memoryRemedy(this.#config, this.#segmented),
        peakBytes: this.#peakBytes,
        certain: this.#killsBefore !== undefined && kills !== undefined && kills > this.#killsBefore,
      });
    } else {
      const printed =
        this.#outputFile === undefined ? this.#output : await readFile(this.#outputFile, 'utf8').catch(() => '');
      error = new RunError('trainer-died', {
        how: signal === null ? `exit code ${code}` : `the signal ${signal}`,
        output: printed.trim().slice(-shownOutputCharacters) || 'nothing',
      });
    }
    await this.#markEnded('failed', error);
    return error;
  }

  /** Says in the folder what a dead trainer could not say itself, and takes its lock away. */
  async #markEnded(state: RunState, error?: RunError): Promise<void> {
    if (!existsSync(this.folder)) return;
    // Where another start has taken the folder over in the meantime, it is no longer ours to write.
    const lock = await acquireRunLock(this.folder).catch(() => undefined);
    if (lock === undefined) return;
    try {
      const paths = runPaths(this.folder);
      const record = await readRunRecord(this.folder).catch(() => undefined);
      if (record === undefined || record.pid !== this.#child.pid) return;
      if (['done', 'stopped', 'failed'].includes(record.state)) return;
      const told = error === undefined ? undefined : { code: error.code, text: error.message };
      await writeJsonFile(paths.record, { ...record, state, ...(told === undefined ? {} : { error: told }) });
      if (told === undefined) return;
      const events = openJsonLines(paths.events);
      events.append({ type: 'failed', ...told });
      events.close();
    } finally {
      await lock.release();
    }
  }

  async stop(): Promise<void> {
    this.#ended ??= 'stopped';
    if (this.#exit !== undefined) return;
    if (this.#eventsFrom === undefined) {
      this.#child.kill('SIGINT');
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), preparingGraceMs);
      timer.unref();
      await this.#exited();
      clearTimeout(timer);
      return;
    }
    await sendControl(this.folder, { do: 'stop' });
    const events = openJsonLines(runPaths(this.folder).events);
    events.append({ type: 'stopping', remainingSeconds: this.#secondsPerStep });
    events.close();
    await this.#exited();
  }

  async kill(): Promise<void> {
    this.#ended = 'killed';
    if (this.#exit !== undefined) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}

/** The setting that lowers the memory of a run most, of those that it does not use yet. */
export function memoryRemedy(config: FettleConfig, segmented: boolean): string {
  if (config.gradient_checkpointing !== true && !segmented) return 'Set gradient_checkpointing: true';
  if (config.per_device_train_batch_size > 1) {
    return `Lower per_device_train_batch_size (now ${config.per_device_train_batch_size}) and raise gradient_accumulation_steps by as much`;
  }
  return `Lower cutoff_len (now ${config.cutoff_len})`;
}
