/**
 * What a run says while it lives: the lines of `events.jsonl`. The command line, the web page and the typed API all read
 * this file; nothing else carries a run's news.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LineFollower } from './json-lines.ts';
import { runPaths } from './layout.ts';
import { isRunning } from './process-identity.ts';
import { readRunRecord, type RunState } from './record.ts';

/** A line of `trainer_log.jsonl`: LLaMA-Factory's fields and ours. A training line has `loss`, an evaluation `eval_loss`. */
export interface LogLine {
  readonly current_steps: number;
  readonly total_steps: number;
  /** Mean over the steps since the last training line. */
  readonly loss?: number;
  readonly eval_loss?: number;
  /** The rate that the step used. */
  readonly lr?: number;
  /** Global L2 norm of the step's gradients before clipping. */
  readonly grad_norm?: number;
  readonly epoch: number;
  readonly percentage: number;
  /** `h:mm:ss`. */
  readonly elapsed_time: string;
  readonly remaining_time: string;
  /** Tokens per second since the start of this run. */
  readonly throughput: number;
  /** Tokens read so far, without padding. */
  readonly total_tokens: number;
  /** Tokens per second since the last training line. */
  readonly tokens_per_second?: number;
  readonly peak_memory_bytes: number;
}

/** A number that was derived before the start, as it is told to people. */
export interface PlanEntry {
  /** Stable name, e.g. `total_steps`. */
  readonly name: string;
  readonly value: number | string;
}

/** The object of `train_results.json`. */
export interface TrainResults {
  readonly epoch: number;
  /** Mean over all steps. */
  readonly train_loss: number;
  /** Seconds, those before a resume included. */
  readonly train_runtime: number;
  readonly train_samples_per_second: number;
  readonly train_steps_per_second: number;
  readonly data_plan: Readonly<Record<string, unknown>>;
}

/** The object of `eval_results.json`. */
export interface EvalResults {
  readonly epoch: number;
  readonly eval_loss: number;
  readonly eval_runtime: number;
  readonly eval_samples_per_second: number;
  readonly eval_steps_per_second: number;
}

/** One thing that a run says. */
export type TrainEvent =
  | { readonly type: 'notice'; readonly code?: string; readonly text: string }
  | { readonly type: 'plan'; readonly entries: readonly PlanEntry[] }
  | {
      readonly type: 'resuming';
      readonly step: number;
      readonly totalSteps: number;
      readonly checkpoint: string | null;
    }
  | { readonly type: 'state'; readonly state: RunState }
  /** Frozen weights are turned into codes, which no earlier start did; told only where it takes long. */
  | { readonly type: 'quantizing'; readonly fraction: number; readonly remainingSeconds: number | null }
  | {
      readonly type: 'progress';
      readonly step: number;
      readonly totalSteps: number;
      /** Part of the running step that is done, 0 to 1. */
      readonly fraction: number;
      readonly secondsPerStep: number | null;
      readonly remainingSeconds: number | null;
    }
  | { readonly type: 'log'; readonly line: LogLine; readonly secondsPerStep: number | null }
  | { readonly type: 'control'; readonly step: number; readonly command: Readonly<Record<string, unknown>> }
  | { readonly type: 'checkpoint'; readonly step: number; readonly folder: string; readonly best: boolean }
  | { readonly type: 'stopping'; readonly remainingSeconds: number | null }
  | { readonly type: 'stopped'; readonly step: number; readonly totalSteps: number; readonly checkpoint: string | null }
  | { readonly type: 'done'; readonly results: TrainResults; readonly files: readonly string[] }
  /** The end of a start that was only to evaluate. */
  | { readonly type: 'evaluated'; readonly results: EvalResults; readonly files: readonly string[] }
  | { readonly type: 'failed'; readonly code: string; readonly text: string };

/** Whether a run says nothing after this event. */
export function isFinalEvent(event: TrainEvent): boolean {
  return ['done', 'stopped', 'failed', 'evaluated'].includes(event.type);
}

const pollMs = 100;
/** Between two looks at whether the writing process still lives. */
const aliveCheckMs = 1_000;

/** How a run folder is followed. */
export interface FollowOptions {
  /** Byte of `events.jsonl` to begin at; left out: its beginning. */
  readonly from?: number;
  /** Ends the following when it aborts. */
  readonly signal?: AbortSignal;
  /** Whether the writer still lives; left out: asked of `run.json`. */
  readonly isAlive?: () => boolean | Promise<boolean>;
}

/** Follows a run's events until its last one, or until its process is gone and everything it wrote was handed out. */
export async function* followRun(folder: string, options: FollowOptions = {}): AsyncGenerator<TrainEvent, void> {
  const follower = new LineFollower(runPaths(folder).events, options.from ?? 0);
  const isAlive =
    options.isAlive ??
    (async () => {
      const record = await readRunRecord(folder).catch(() => undefined);
      return record === undefined || isRunning(record.process);
    });
  let lastCheck = Date.now();
  let alive = true;
  while (options.signal?.aborted !== true) {
    const lines = await follower.read();
    for (const [index, line] of lines.entries()) {
      const event = parseEvent(line);
      if (event === undefined) continue;
      yield event;
      // A final event that others follow belongs to an earlier start of a run that was continued.
      if (isFinalEvent(event) && index === lines.length - 1) return;
    }
    if (!alive && lines.length === 0) return;
    // A process may write its last lines and end between two reads: they are read once more after its death.
    if (Date.now() - lastCheck >= aliveCheckMs || options.isAlive !== undefined) {
      lastCheck = Date.now();
      alive = await isAlive();
    }
    if (alive)
      await sleep(pollMs, undefined, options.signal === undefined ? {} : { signal: options.signal }).catch(
        () => undefined,
      );
  }
}

function parseEvent(line: string): TrainEvent | undefined {
  try {
    return JSON.parse(line) as TrainEvent;
  } catch {
    return undefined;
  }
}
