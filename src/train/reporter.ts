/**
 * What a run writes while it trains: log lines, events, its record, TensorBoard events. The loop says what happened; the
 * form of it stands here.
 */
import {
  type LogLine,
  openJsonLines,
  peakMemoryBytes,
  type RunKeeper,
  runPaths,
  type RunState,
  type TrainEvent,
} from '../run/index.ts';
import type { HistoryEntry, LoopState } from './state.ts';

/** Where scalars go besides the log, e.g. a TensorBoard file. */
export interface ScalarSink {
  write(step: number, scalars: Readonly<Record<string, number>>): Promise<void> | void;
  close(): Promise<void> | void;
}

/** The loop's mouth. */
export interface Reporter {
  say(event: TrainEvent): void;
  /** Moves the run into a state; `run.json` stands on the disk when this resolves. */
  enter(state: RunState): Promise<void>;
  /** Writes the log line of an entry of the history, which the caller has added to the state. */
  log(entry: HistoryEntry, state: LoopState, extra: { tokensPerSecond?: number }): Promise<void>;
  /** Says how far the running step is; thinned out. */
  progress(step: number, fraction: number): void;
  /** Tells the reporter that a step has ended after so many seconds. */
  stepEnded(step: number, seconds: number): void;
  close(): Promise<void>;
}

/** What a reporter needs to know. */
export interface ReporterOptions {
  readonly folder: string;
  readonly totalSteps: number;
  readonly keeper: Pick<RunKeeper, 'write' | 'note'>;
  readonly sinks?: readonly ScalarSink[];
  /** Seconds of training in earlier processes. */
  readonly secondsBefore: number;
  readonly tokensBefore: number;
  readonly now: () => number;
}

/** Steps whose time the estimate of the remaining time looks back on. */
const remembered = 32;
/** Between two lines of progress: often enough to watch, seldom enough to keep the file small. */
const progressIntervalMs = 1_000;
/** Digits of the epoch in the log. */
const epochDigits = 4;

/** An epoch rounded as the log has it. */
export function roundEpoch(epoch: number): number {
  return Number(epoch.toFixed(epochDigits));
}

/** Seconds as `h:mm:ss`, as Python prints a timedelta. */
export function clockText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [days, rest] = [Math.floor(whole / 86_400), whole % 86_400];
  const two = (value: number) => String(value).padStart(2, '0');
  const clock = `${Math.floor(rest / 3600)}:${two(Math.floor((rest % 3600) / 60))}:${two(rest % 60)}`;
  if (days === 0) return clock;
  return `${days} day${days === 1 ? '' : 's'}, ${clock}`;
}

/** Opens the files of a run for appending. */
export function openReporter(options: ReporterOptions): Reporter {
  const { folder, totalSteps, keeper, sinks = [], secondsBefore, tokensBefore, now } = options;
  const paths = runPaths(folder);
  const log = openJsonLines(paths.log);
  const events = openJsonLines(paths.events);
  const start = now();
  const durations: number[] = [];
  let lastProgress = start;
  let stepsDone = 0;

  const meanStep = () => (durations.length === 0 ? null : durations.reduce((a, b) => a + b, 0) / durations.length);
  const remainingSeconds = () => {
    const mean = meanStep();
    return mean === null ? null : mean * (totalSteps - stepsDone);
  };

  const reporter: Reporter = {
    say: (event) => events.append(event),
    async enter(state) {
      await keeper.write({ state });
      events.append({ type: 'state', state });
    },
    async log(entry, state, { tokensPerSecond }) {
      const seconds = (now() - start) / 1000;
      const line: LogLine = {
        current_steps: entry.step,
        total_steps: totalSteps,
        ...(entry.loss === undefined ? {} : { loss: entry.loss }),
        ...(entry.eval_loss === undefined ? {} : { eval_loss: entry.eval_loss }),
        ...(entry.learning_rate === undefined ? {} : { lr: entry.learning_rate }),
        ...(entry.grad_norm === undefined ? {} : { grad_norm: entry.grad_norm }),
        epoch: entry.epoch,
        percentage: Number(((100 * entry.step) / totalSteps).toFixed(2)),
        elapsed_time: clockText(secondsBefore + seconds),
        remaining_time: clockText(remainingSeconds() ?? 0),
        throughput: Number(((state.tokens - tokensBefore) / Math.max(seconds, 1e-9)).toFixed(2)),
        total_tokens: state.tokens,
        ...(tokensPerSecond === undefined ? {} : { tokens_per_second: Number(tokensPerSecond.toFixed(2)) }),
        peak_memory_bytes: peakMemoryBytes(),
      };
      log.append(line);
      events.append({ type: 'log', line, secondsPerStep: meanStep() });
      lastProgress = now();
      for (const sink of sinks) await sink.write(entry.step, scalarsOf(entry));
    },
    progress(step, fraction) {
      if (now() - lastProgress < progressIntervalMs) return;
      lastProgress = now();
      events.append({
        type: 'progress',
        step,
        totalSteps,
        fraction,
        secondsPerStep: meanStep(),
        remainingSeconds: remainingSeconds(),
      });
    },
    stepEnded(step, seconds) {
      stepsDone = step;
      durations.push(seconds);
      if (durations.length > remembered) durations.shift();
      keeper.note({ step });
    },
    async close() {
      for (const sink of sinks) await sink.close();
      log.close();
      events.close();
    },
  };
  return reporter;
}

/** The scalars of an entry under the names that Hugging Face's TensorBoard callback gives them. */
export function scalarsOf(entry: HistoryEntry): Record<string, number> {
  return Object.fromEntries(
    [
      ['train/loss', entry.loss],
      ['train/grad_norm', entry.grad_norm],
      ['train/learning_rate', entry.learning_rate],
      ['train/epoch', entry.loss === undefined ? undefined : entry.epoch],
      ['eval/loss', entry.eval_loss],
    ].filter((pair): pair is [string, number] => pair[1] !== undefined),
  );
}
