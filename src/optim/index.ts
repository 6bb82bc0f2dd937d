export { adamw, type AdamWOptions } from './adamw.ts';
export { clipFactor, globalGradientNorm } from './clip.ts';
export { decaysInFullTuning } from './decay.ts';
export type { OptimizedTensor, Optimizer, OptimizerTensor } from './optimizer.ts';
export {
  defaultPolynomialEnd,
  schedule,
  type Schedule,
  type ScheduleArguments,
  type ScheduleContext,
  type ScheduleName,
  scheduleNames,
  warmupStepCount,
} from './schedules.ts';
export { sgd, type SgdOptions } from './sgd.ts';
