export {
  compare,
  type ConfigLike,
  defineConfig,
  evaluate,
  exportModel,
  openGenerator,
  pk,
  planData,
  planTraining,
  predict,
  readConfig,
  train,
} from './api.ts';
export type { FettleConfig, FettleOptions, LoadedConfig } from './config/index.ts';
export type { DataPlan } from './data/index.ts';
export {
  BackendError,
  ConfigError,
  DataError,
  FettleError,
  FormatError,
  RunError,
  ShapeError,
  UnsupportedError,
} from './errors.ts';
export { registerMetric } from './eval/index.ts';
export type {
  AskEvent,
  CompareEnd,
  CompareEvent,
  PredictEnd,
  RowMetric,
  ScoredAnswer,
  Scores,
  TaskResult,
} from './eval/index.ts';
export type { Ask, PairResult, PkEvent, PkOptions, PkResults, PkRun, Respond } from './eval/index.ts';
export type { ExportModelOptions, ExportResult } from './export/index.ts';
export { convertLlama2c, type ConvertLlama2cOptions } from './export/index.ts';
export type { Answer, AnswerOptions, Generator } from './generate/index.ts';
export type { TrainEvent } from './run/index.ts';
export type { Message } from './template/index.ts';
export type { TrainEnd, TrainingPlan, TrainRun } from './train/index.ts';
