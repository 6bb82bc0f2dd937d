/** The numbers that the loop runs on, derived once from the config and the number of batches. */
import { type FettleConfig, stepsOf } from '../config/index.ts';
import { ConfigError } from '../errors.ts';
import { defaultPolynomialEnd, schedule, type Schedule, warmupStepCount } from '../optim/index.ts';

/** When something happens that can be asked for by steps or by epochs. */
export type Strategy = 'no' | 'steps' | 'epoch';

/** Settings of the loop, every count in steps. */
export interface LoopSettings {
  readonly totalSteps: number;
  readonly stepsPerEpoch: number;
  readonly accumulation: number;
  readonly warmupSteps: number;
  readonly learningRate: number;
  /** The schedule for a peak rate, so that the rate can be changed while the run goes on. */
  readonly scheduleFor: (learningRate: number) => Schedule;
  readonly maxGradNorm: number;
  readonly seed: number;
  readonly logging: { readonly strategy: Strategy; readonly steps: number; readonly firstStep: boolean };
  readonly evaluation: { readonly strategy: Strategy; readonly steps: number };
  readonly saving: { readonly strategy: Strategy | 'best'; readonly steps: number; readonly keep: number };
  readonly loadBest: boolean;
  readonly greaterIsBetter: boolean;
  /** Evaluations without a better one after which the run ends; infinite where that is off. */
  readonly patience: number;
}

/** Steps of one epoch: its last, short window is a step of its own. */
export function stepsPerEpoch(batchesPerEpoch: number, accumulation: number): number {
  return Math.ceil(batchesPerEpoch / accumulation);
}

/** Steps of the whole run: `max_steps` where it is set, else the epochs, a fraction rounded up. */
export function totalSteps(config: FettleConfig, batchesPerEpoch: number): number {
  if (config.max_steps > 0) return config.max_steps;
  return Math.ceil(config.num_train_epochs * stepsPerEpoch(batchesPerEpoch, config.gradient_accumulation_steps));
}

/**
 * Derives the loop's settings.
 * @throws ConfigError `lr-end-too-high` as transformers refuses it.
 */
export function loopSettings(config: FettleConfig, batchesPerEpoch: number): LoopSettings {
  const total = totalSteps(config, batchesPerEpoch);
  const warmupSteps = warmupStepCount(total, config.warmup_steps, config.warmup_ratio);
  const { learning_rate: learningRate, lr_scheduler_kwargs: kwargs } = config;
  if (config.lr_scheduler_type === 'polynomial' && learningRate > 0) {
    const lrEnd = kwargs.lr_end ?? defaultPolynomialEnd;
    if (lrEnd >= learningRate) throw new ConfigError('lr-end-too-high', { lrEnd, learningRate });
  }
  return {
    totalSteps: total,
    stepsPerEpoch: stepsPerEpoch(batchesPerEpoch, config.gradient_accumulation_steps),
    accumulation: config.gradient_accumulation_steps,
    warmupSteps,
    learningRate,
    scheduleFor: (peak) =>
      schedule(config.lr_scheduler_type, { learningRate: peak, warmupSteps, totalSteps: total }, kwargs),
    maxGradNorm: config.max_grad_norm,
    seed: config.seed,
    logging: {
      strategy: config.logging_strategy,
      steps: stepsOf(config.logging_steps, total),
      firstStep: config.logging_first_step,
    },
    evaluation: { strategy: config.eval_strategy, steps: stepsOf(config.eval_steps, total) },
    saving: {
      strategy: config.save_strategy,
      steps: stepsOf(config.save_steps, total),
      keep: config.save_total_limit ?? Number.POSITIVE_INFINITY,
    },
    loadBest: config.load_best_model_at_end,
    greaterIsBetter: config.greater_is_better,
    patience: config.early_stopping_steps ?? Number.POSITIVE_INFINITY,
  };
}
