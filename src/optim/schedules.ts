/**
 * Learning-rate schedules: the formulas of transformers' `optimization.py`, by the names of `lr_scheduler_type`. Each is
 * a pure function of the step, so that nothing but the step must be saved to resume one.
 */

/** What a schedule needs to know about the run. */
export interface ScheduleContext {
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
}

/** The rate that step `step` (counted from 0) uses. */
export type Schedule = (step: number) => number;

/** `lr_scheduler_kwargs`, in their own spelling. */
export type ScheduleArguments = Readonly<Record<string, unknown>>;

/** What `lr_end` of the polynomial schedule is where it is left out. */
export const defaultPolynomialEnd = 1e-7;

type ScheduleFactory = (context: ScheduleContext, kwargs: ScheduleArguments) => (step: number) => number;

function numberFrom(kwargs: ScheduleArguments, key: string, fallback: number): number {
  const value = kwargs[key];
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new RangeError(`lr_scheduler_kwargs.${key} must be a number, got ${JSON.stringify(value)}`);
  }
  return value;
}

function choiceFrom(kwargs: ScheduleArguments, key: string, choices: readonly string[], fallback: string): string {
  const value = kwargs[key] ?? fallback;
  if (typeof value !== 'string' || !choices.includes(value)) {
    throw new RangeError(
      `lr_scheduler_kwargs.${key} must be one of ${choices.join(', ')}, got ${JSON.stringify(value)}`,
    );
  }
  return value;
}

const warmup = (step: number, steps: number) => step / Math.max(1, steps);

/** The part of the run after the warm-up that lies behind `step`, 0 to 1. */
function progressAfterWarmup(step: number, { warmupSteps, totalSteps }: ScheduleContext): number {
  return (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
}

/** Factories of the factor on the learning rate, one per `lr_scheduler_type`. */
const factories = {
  constant: () => () => 1,

  constant_with_warmup: (context) => (step) => (step < context.warmupSteps ? warmup(step, context.warmupSteps) : 1),

  linear: (context) => (step) =>
    step < context.warmupSteps
      ? warmup(step, context.warmupSteps)
      : Math.max(0, (context.totalSteps - step) / Math.max(1, context.totalSteps - context.warmupSteps)),

  cosine: (context, kwargs) => {
    const cycles = numberFrom(kwargs, 'num_cycles', 0.5);
    return (step) =>
      step < context.warmupSteps
        ? warmup(step, context.warmupSteps)
        : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progressAfterWarmup(step, context))));
  },

  cosine_with_restarts: (context, kwargs) => {
    const cycles = numberFrom(kwargs, 'num_cycles', 1);
    return (step) => {
      if (step < context.warmupSteps) return warmup(step, context.warmupSteps);
      const progress = progressAfterWarmup(step, context);
      return progress >= 1 ? 0 : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((cycles * progress) % 1))));
    };
  },

  cosine_with_min_lr: (context, kwargs) => {
    const cycles = numberFrom(kwargs, 'num_cycles', 0.5);
    const rate = minimumRate(context, kwargs);
    return (step) => {
      if (step < context.warmupSteps) return warmup(step, context.warmupSteps);
      const factor = 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progressAfterWarmup(step, context)));
      return Math.max(0, factor * (1 - rate) + rate);
    };
  },

  polynomial: (context, kwargs) => {
    const end = numberFrom(kwargs, 'lr_end', defaultPolynomialEnd);
    const power = numberFrom(kwargs, 'power', 1);
    const { learningRate, warmupSteps, totalSteps } = context;
    // Transformers refuses a rate that is not above its end; a rate of 0 is a dry run here and stays 0.
    if (learningRate !== 0 && learningRate <= end) {
      throw new RangeError(`lr_scheduler_kwargs.lr_end must be below learning_rate ${learningRate}, got ${end}`);
    }
    return (step) => {
      if (step < warmupSteps) return warmup(step, warmupSteps);
      if (learningRate === 0) return 0;
      if (step > totalSteps) return end / learningRate;
      const remaining = 1 - (step - warmupSteps) / (totalSteps - warmupSteps);
      return ((learningRate - end) * remaining ** power + end) / learningRate;
    };
  },

  inverse_sqrt: (context, kwargs) => {
    const timescale = numberFrom(kwargs, 'timescale', context.warmupSteps || 10_000);
    return (step) =>
      step < context.warmupSteps
        ? warmup(step, context.warmupSteps)
        : 1 / Math.sqrt((step + timescale - context.warmupSteps) / timescale);
  },

  warmup_stable_decay: (context, kwargs) => {
    const decaySteps = numberFrom(kwargs, 'num_decay_steps', Number.NaN);
    if (Number.isNaN(decaySteps)) throw new RangeError('lr_scheduler_kwargs.num_decay_steps must be given, got none');
    const stableSteps = numberFrom(kwargs, 'num_stable_steps', context.totalSteps - context.warmupSteps - decaySteps);
    const least = numberFrom(kwargs, 'min_lr_ratio', 0);
    const cycles = numberFrom(kwargs, 'num_cycles', 0.5);
    const shapes = ['linear', 'cosine', '1-sqrt'];
    const warmupShape = choiceFrom(kwargs, 'warmup_type', shapes, 'linear');
    const decayShape = choiceFrom(kwargs, 'decay_type', shapes, 'cosine');
    const spread = (factor: number) => Math.max(0, factor * (1 - least) + least);
    return (step) => {
      if (step < context.warmupSteps) {
        const progress = warmup(step, context.warmupSteps);
        if (warmupShape === 'linear') return spread(progress);
        return spread(
          warmupShape === 'cosine' ? 0.5 * (1 - Math.cos(Math.PI * progress)) : 1 - Math.sqrt(1 - progress),
        );
      }
      if (step < context.warmupSteps + stableSteps) return 1;
      if (step >= context.warmupSteps + stableSteps + decaySteps) return least;
      const progress = (step - context.warmupSteps - stableSteps) / Math.max(1, decaySteps);
      if (decayShape === 'linear') return spread(1 - progress);
      return spread(
        decayShape === 'cosine' ? 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress)) : 1 - Math.sqrt(progress),
      );
    };
  },
} satisfies Record<string, ScheduleFactory>;

function minimumRate(context: ScheduleContext, kwargs: ScheduleArguments): number {
  const least = numberFrom(kwargs, 'min_lr', Number.NaN);
  const rate = numberFrom(kwargs, 'min_lr_rate', Number.NaN);
  if (Number.isNaN(least) === Number.isNaN(rate)) {
    throw new RangeError('lr_scheduler_kwargs must hold exactly one of min_lr and min_lr_rate');
  }
  return Number.isNaN(rate) ? least / context.learningRate : rate;
}

/** A value of `lr_scheduler_type`. */
export type ScheduleName = keyof typeof factories;

/** All values of `lr_scheduler_type` that are known. */
export const scheduleNames = Object.keys(factories) as readonly ScheduleName[];

/**
 * Creates a schedule.
 * @throws RangeError if an argument in `kwargs` is missing or not of its kind.
 */
export function schedule(name: ScheduleName, context: ScheduleContext, kwargs: ScheduleArguments = {}): Schedule {
  const factor = factories[name](context, kwargs);
  return (step) => context.learningRate * factor(step);
}

/**
 * Steps of warm-up: `warmupSteps` where it is at least 1, else that share (or `warmupRatio`) of the run, rounded up, as
 * `TrainingArguments.get_warmup_steps` has it.
 */
export function warmupStepCount(totalSteps: number, warmupSteps: number, warmupRatio: number): number {
  if (warmupSteps >= 1) return Math.floor(warmupSteps);
  return Math.ceil(totalSteps * (warmupSteps > 0 ? warmupSteps : warmupRatio));
}
