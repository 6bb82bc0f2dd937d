export {
  bootstrapInterval,
  bootstrapMean,
  type BootstrapOptions,
  type Interval,
  quantile,
  wilsonInterval,
} from './intervals.ts';
export type { AskEvent } from './ask-rows.ts';
export { findLabels, labelMapper, type LabelReport, labelReport } from './labels.ts';
export { predict, type PredictEnd, type PredictResults, type PredictSettings } from './predict.ts';
export { registerMetric, type RowMetric, rowMetricNames, type ScoredAnswer } from './row-metrics.ts';
export { scoreAnswers, type Score, type Scores, type ScoreSettings } from './scores.ts';
