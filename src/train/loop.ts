/**
 * The training loop: steps, log lines, evaluations, checkpoints and orders, in the one order that makes a resumed run
 * equal to an uninterrupted one. It knows neither models nor processes.
 */
import type { Optimizer } from '../optim/index.ts';
import { type ControlReader, type ObeyedControl, parseControl } from '../run/index.ts';
import type { BatchSource } from './batch-source.ts';
import type { TrainEngine } from './engine.ts';
import { evaluate, evaluationEntry } from './evaluate.ts';
import { type Reporter, roundEpoch } from './reporter.ts';
import type { LoopSettings } from './settings.ts';
import { type BestEvaluation, type HistoryEntry, type LoopState, notice } from './state.ts';
import { type StepResult, trainStep } from './step.ts';

/** What the loop works with. */
export interface LoopContext {
  readonly engine: TrainEngine;
  readonly optimizer: Optimizer;
  readonly batches: BatchSource;
  readonly settings: LoopSettings;
  readonly reporter: Reporter;
  readonly control: ControlReader;
  /** `set` orders that an earlier process obeyed after the checkpoint: they take effect at the same steps again. */
  readonly replay: readonly ObeyedControl[];
  /** Writes the checkpoint of the state's step, rotates the others, and returns its path. */
  readonly save: (state: LoopState) => Promise<string>;
  /** Keeps an obeyed order in the run's record, on the disk before it takes effect. */
  readonly recordControl: (control: ObeyedControl) => Promise<void>;
  /** Whether somebody outside has asked for a stop (Ctrl-C). */
  readonly stopRequested: () => boolean;
  readonly lastCheckpoint: () => string | null;
  readonly now: () => number;
}

/** How the loop ended. */
export type LoopEnd =
  /** All steps were taken, or early stopping or a `stop-keep-best` said that they are enough. */
  | { readonly kind: 'finished'; readonly keepBest: boolean }
  /** A stop was asked for; the checkpoint stands. */
  | { readonly kind: 'stopped'; readonly checkpoint: string };

/** What the orders of one step amount to. */
interface Orders {
  stop: boolean;
  save: boolean;
  keepBest: boolean;
}

/** Trains from `state` on, which it changes in place, until the last step or a stop. */
export async function trainLoop(context: LoopContext, state: LoopState): Promise<LoopEnd> {
  const { settings, reporter, batches, now } = context;
  const progressOf = (fraction: number) => reporter.progress(state.step, fraction);
  const secondsBefore = state.seconds;
  const start = now();
  let logTime = start;
  // Whether the checkpoint of the state's step stands already and says all that is known of this step.
  let saved = state.step > 0 && !state.evaluationDue;

  const save = async (): Promise<string> => {
    const from = now();
    await reporter.enter('saving');
    state.seconds = secondsBefore + (from - start) / 1000;
    const path = await context.save(state);
    reporter.say({ type: 'checkpoint', step: state.step, folder: path, best: state.bestSaved?.step === state.step });
    saved = true;
    await reporter.enter('training');
    logTime += now() - from;
    return path;
  };

  /** Evaluates now; false where a stop came first, so that the evaluation is still due. */
  const runEvaluation = async (): Promise<boolean> => {
    const from = now();
    state.evaluationDue = true;
    await reporter.enter('evaluating');
    const result = await evaluate(context.engine, batches.evaluation, now, context.stopRequested);
    await reporter.enter('training');
    logTime += now() - from;
    if (result === undefined) return false;
    state.evaluationDue = false;
    state.lastEvaluation = { step: state.step, loss: result.loss };
    const entry = evaluationEntry(result, state.step, epochOf(state, batches.batchesPerEpoch));
    state.history.push(entry);
    await reporter.log(entry, state, {});
    if (isBetter(settings, result.loss, state.best)) {
      state.best = { metric: result.loss, step: state.step };
      state.evaluationsWithoutBetter = 0;
    } else {
      state.evaluationsWithoutBetter += 1;
    }
    return true;
  };

  /** Everything that belongs to the end of a step, from the evaluation on; a stopped evaluation is taken up again here. */
  const endStep = async (orders: Orders): Promise<LoopEnd | undefined> => {
    const last = state.step >= settings.totalSteps;
    const evaluates =
      isDue(settings.evaluation, state, batches, state.overrides.eval_steps) && batches.evaluation.length > 0;
    let stopping = orders.stop || context.stopRequested();
    if (evaluates && state.lastEvaluation?.step !== state.step && !(await runEvaluation())) stopping = true;
    if (!saved && !state.evaluationDue && (orders.save || savingIsDue(settings, state, batches, last))) await save();
    const exhausted = state.evaluationsWithoutBetter >= settings.patience;
    if (orders.keepBest) return { kind: 'finished', keepBest: true };
    // Whoever stops at the very last step has a finished run.
    if ((last || exhausted) && !state.evaluationDue) return { kind: 'finished', keepBest: settings.loadBest };
    if (!stopping) return undefined;
    return { kind: 'stopped', checkpoint: saved ? context.lastCheckpoint()! : await save() };
  };

  await reporter.enter('training');
  if (state.evaluationDue || state.step >= settings.totalSteps || state.evaluationsWithoutBetter >= settings.patience) {
    const end = await endStep({ stop: false, save: false, keepBest: false });
    if (end !== undefined) return end;
  }

  for (;;) {
    if (state.batchIndex >= batches.batchesPerEpoch) {
      state.epoch += 1;
      state.batchIndex = 0;
    }
    const learningRate = rateOf(settings, state);
    const stepStart = now();
    const result = await trainStep(
      {
        engine: context.engine,
        optimizer: context.optimizer,
        batches,
        accumulation: settings.accumulation,
        seed: settings.seed,
        maxGradNorm: settings.maxGradNorm,
        lastCheckpoint: context.lastCheckpoint,
        onProgress: progressOf,
      },
      state,
      learningRate,
    );
    advance(state, result);
    saved = false;
    reporter.stepEnded(state.step, (now() - stepStart) / 1000);

    if (loggingIsDue(settings, state, batches)) {
      const entry: HistoryEntry = {
        step: state.step,
        epoch: epochOf(state, batches.batchesPerEpoch),
        loss: state.lossSinceLog / state.stepsSinceLog,
        grad_norm: result.gradientNorm,
        learning_rate: learningRate,
      };
      state.history.push(entry);
      const tokensPerSecond = state.tokensSinceLog / Math.max((now() - logTime) / 1000, 1e-9);
      logTime = now();
      state.lossSinceLog = 0;
      state.stepsSinceLog = 0;
      state.tokensSinceLog = 0;
      await reporter.log(entry, state, { tokensPerSecond });
    } else {
      reporter.progress(state.step, 0);
    }

    const end = await endStep(await obey(context, state));
    if (end !== undefined) {
      state.seconds = secondsBefore + (now() - start) / 1000;
      return end;
    }
  }
}

/** The epoch with its fraction, rounded as the log has it. */
export function epochOf(state: Pick<LoopState, 'epoch' | 'batchIndex'>, batchesPerEpoch: number): number {
  return roundEpoch(state.epoch + state.batchIndex / batchesPerEpoch);
}

function advance(state: LoopState, result: StepResult): void {
  state.step += 1;
  state.batchIndex += result.batches;
  state.lossSinceLog += result.loss;
  state.stepsSinceLog += 1;
  state.lossTotal += result.loss;
  state.tokens += result.tokens;
  state.tokensSinceLog += result.tokens;
  state.samples += result.samples;
}

function rateOf(settings: LoopSettings, state: LoopState): number {
  return settings.scheduleFor(state.overrides.learning_rate ?? settings.learningRate)(state.step);
}

/** Whether a metric is better than the best so far; the first one is. */
export function isBetter(
  settings: Pick<LoopSettings, 'greaterIsBetter'>,
  metric: number,
  best: BestEvaluation | null,
): boolean {
  if (best === null) return true;
  return settings.greaterIsBetter ? metric > best.metric : metric < best.metric;
}

function epochEnds(state: LoopState, batches: BatchSource): boolean {
  return state.batchIndex >= batches.batchesPerEpoch;
}

function isDue(
  when: { readonly strategy: string; readonly steps: number },
  state: LoopState,
  batches: BatchSource,
  override?: number,
): boolean {
  if (when.strategy === 'steps') return state.step % (override ?? when.steps) === 0;
  return when.strategy === 'epoch' && epochEnds(state, batches);
}

function loggingIsDue(settings: LoopSettings, state: LoopState, batches: BatchSource): boolean {
  const { logging, totalSteps } = settings;
  if (logging.strategy === 'no') return false;
  // The last step closes the curve even where it is off the beat.
  if (state.step === totalSteps || (logging.firstStep && state.step === 1)) return true;
  return isDue(logging, state, batches, state.overrides.logging_steps);
}

function savingIsDue(settings: LoopSettings, state: LoopState, batches: BatchSource, last: boolean): boolean {
  const { saving } = settings;
  if (saving.strategy === 'best') return state.best?.step === state.step;
  if (saving.strategy === 'no') return false;
  return last || isDue(saving, state, batches, state.overrides.save_steps);
}

/** Obeys the orders that came since the last step. */
async function obey(context: LoopContext, state: LoopState): Promise<Orders> {
  const { reporter, control, replay, recordControl } = context;
  const orders: Orders = { stop: false, save: false, keepBest: false };
  for (const { step, command } of replay) {
    if (step === state.step) state.overrides = { ...state.overrides, ...settingsIn(command) };
  }
  for (const line of await control.read()) {
    const command = parseControl(line);
    if ('problem' in command) {
      reporter.say(notice('order-not-understood', { reason: command.problem }));
      continue;
    }
    const order: Record<string, unknown> = { ...command };
    reporter.say({ type: 'control', step: state.step, command: order });
    await recordControl({ step: state.step, command: order });
    if (command.do === 'set') state.overrides = { ...state.overrides, ...settingsIn(order) };
    if (command.do === 'stop') orders.stop = true;
    if (command.do === 'save') orders.save = true;
    if (command.do === 'stop-keep-best') orders.keepBest = true;
  }
  return orders;
}

function settingsIn(command: Readonly<Record<string, unknown>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(command).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}
