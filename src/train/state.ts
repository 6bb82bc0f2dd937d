/** Everything that the loop carries from step to step besides tensors: what a checkpoint keeps so that a run goes on exactly. */
import { messageText } from '../errors.ts';
import type { MessageCode, MessageFields } from '../messages/index.ts';
import type { ControlSettings, TrainEvent } from '../run/index.ts';

/** An entry of `trainer_state.json`'s log_history, with Hugging Face's names. */
export interface HistoryEntry {
  readonly step: number;
  readonly epoch: number;
  readonly loss?: number;
  readonly grad_norm?: number;
  readonly learning_rate?: number;
  readonly eval_loss?: number;
  readonly eval_runtime?: number;
  readonly eval_samples_per_second?: number;
  readonly eval_steps_per_second?: number;
}

/** An evaluation that is the best so far. */
export interface BestEvaluation {
  readonly metric: number;
  readonly step: number;
}

/** The loop's state at the end of a step. All numbers survive JSON exactly. */
export interface LoopState {
  /** Optimiser steps taken; with the seed it is the key of every random stream. */
  step: number;
  /** The data cursor: the epoch, and the next micro-batch in it. Checkpoints stand between accumulation windows. */
  epoch: number;
  batchIndex: number;
  /** Losses of the steps since the last log line. */
  lossSinceLog: number;
  stepsSinceLog: number;
  /** Losses of all steps. */
  lossTotal: number;
  tokens: number;
  tokensSinceLog: number;
  samples: number;
  /** Seconds of training in earlier processes and this one. */
  seconds: number;
  /** Best evaluation of all, which early stopping counts from. */
  best: BestEvaluation | null;
  /** Best evaluation whose checkpoint stands on the disk. */
  bestSaved: BestEvaluation | null;
  evaluationsWithoutBetter: number;
  lastEvaluation: { readonly step: number; readonly loss: number } | null;
  /** An evaluation of this very step was put off by a stop. */
  evaluationDue: boolean;
  /** What `set` orders have changed. */
  overrides: ControlSettings;
  history: HistoryEntry[];
}

/** The state before the first step. */
export function initialState(): LoopState {
  return {
    step: 0,
    epoch: 0,
    batchIndex: 0,
    lossSinceLog: 0,
    stepsSinceLog: 0,
    lossTotal: 0,
    tokens: 0,
    tokensSinceLog: 0,
    samples: 0,
    seconds: 0,
    best: null,
    bestSaved: null,
    evaluationsWithoutBetter: 0,
    lastEvaluation: null,
    evaluationDue: false,
    overrides: {},
    history: [],
  };
}

/** Says something to whoever follows the run. */
export type Say = (event: TrainEvent) => void;

/** A notice of the catalogue as an event. */
export function notice<C extends MessageCode>(code: C, fields: MessageFields<C>): TrainEvent {
  return { type: 'notice', code, text: messageText(code, fields) };
}
