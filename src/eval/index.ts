export {
  bootstrapInterval,
  bootstrapMean,
  type BootstrapOptions,
  type Interval,
  quantile,
  wilsonInterval,
} from './intervals.ts';
export type { AskEvent } from './ask-rows.ts';
export { compare, type CompareEnd, type CompareEvent, type Comparison, type CompareSettings } from './compare.ts';
export { findLabels, labelMapper, type LabelReport, labelReport } from './labels.ts';
export { predict, type PredictEnd, predictFileNames, type PredictResults, type PredictSettings } from './predict.ts';
export { registerMetric, type RowMetric, rowMetricNames, type ScoredAnswer } from './row-metrics.ts';
export { runTask, taskNames, type TaskSettings } from './run-task.ts';
export { scoreAnswers, type Score, type Scores, type ScoreSettings } from './scores.ts';
export type { TaskProgress, TaskResult } from './tasks/task-result.ts';
export {
  type Ask,
  type PairResult,
  type PkEvent,
  pkFileNames,
  pkNeeds,
  type PkOptions,
  type PkResults,
  type PkRun,
  type Respond,
  runPk,
} from './pk/index.ts';
export { runSuppressStudy, studyFileNames, type SuppressStudy, type SuppressStudySettings } from './suppress-study.ts';
