/** What a recipe is given: the data and the model of a run, made by the rooms that know them. */
import type { FettleConfig } from '../config/index.ts';
import type { PlanEntry } from '../run/index.ts';
import type { BatchSource } from './batch-source.ts';
import type { TrainEngine } from './engine.ts';
import type { PlanForm } from './plan-form.ts';
import type { Say } from './state.ts';

/** The tokenised data of a run. */
export interface TrainerData extends BatchSource {
  /** The counts of `data plan --json` (contract, article 32). */
  readonly plan: Readonly<Record<string, unknown>>;
  /** SHA-256 over all tokens, labels and weights of the training and evaluation parts. */
  readonly hash: string;
  /** Writes tokenizer and template into a folder. */
  save(folder: string): Promise<void>;
}

/** A model with the weights that move. */
export interface TrainerModel {
  readonly engine: TrainEngine;
  /** Derived numbers for people: trained parameters, memory expected, ... */
  readonly plan: readonly PlanEntry[];
  /** The form of its step, which checkpoints keep: another one may change the last bits. Left out: it has but one. */
  readonly form?: PlanForm;
  /** Whether weight decay pulls on a parameter; left out: on all. */
  readonly decays?: (name: string) => boolean;
  /** Writes the adapter, or the whole model, into a folder. */
  save(folder: string): Promise<void>;
}

/** The base of a run, known before any data is read. */
export interface TrainerBase {
  /** The files whose content is the base: weights, config, and adapters that are continued. */
  readonly files: readonly { readonly name: string; readonly path: string }[];
}

/** What making data and model may ask for. */
export interface ToolContext {
  readonly config: FettleConfig;
  /** Whether somebody wrote this key. */
  readonly isGiven: (key: keyof FettleConfig) => boolean;
  readonly threads: number;
  /** The run's first start: what a template takes for today. */
  readonly startedAt: Date;
  readonly say: Say;
  /** The form of the step that a continued run must keep. */
  readonly form?: PlanForm | undefined;
}

/** How a trainer comes by its data and its model; doubles of these stand in tests. */
export interface TrainerTools<Base extends TrainerBase = TrainerBase> {
  openBase(context: ToolContext): Promise<Base>;
  prepareData(context: ToolContext, base: Base): Promise<TrainerData>;
  createModel(context: ToolContext, base: Base, data: TrainerData): Promise<TrainerModel>;
}
