export type { DropoutKey, LossSums, TrainableTensor, TrainEngine } from './engine.ts';
export { withModelsThatFit } from './models-that-fit.ts';
export { planTraining, type PlanOptions, type TrainingPlan } from './plan-training.ts';
export { type StartOptions, train, type TrainEnd, type TrainRun } from './start.ts';
