export type { DropoutKey, LossSums, TrainableTensor, TrainEngine } from './engine.ts';
export { type StartOptions, train, type TrainEnd, type TrainRun } from './start.ts';
