/** The metrics of single answers, by name: what predictions and comparisons compute for each row, and average. */
import { isExactMatch, wordF1 } from './answer-match.ts';
import type { WordCutter } from './jieba.ts';
import { pluginsOf } from '../plugins/index.ts';
import { similarityScores } from './llama-factory.ts';

/** An answer to be judged. */
export interface ScoredAnswer {
  readonly prompt: string;
  readonly predict: string;
  readonly label: string;
}

/** A metric of one answer: any number; larger is better. */
export type RowMetric = (answer: ScoredAnswer) => number;

/** Names of the metrics that every prediction has. */
export const rowMetricNames = ['bleu-4', 'rouge-1', 'rouge-2', 'rouge-l', 'exact_match', 'f1'] as const;
export type RowMetricName = (typeof rowMetricNames)[number];

const registered = new Map<string, RowMetric>();

/** Adds a metric of one's own, whose mean then stands in all results; a later one of the same name replaces it. */
export function registerMetric(name: string, metric: RowMetric): void {
  registered.set(name, metric);
}

/** The metrics of one's own and of plugins, by name. */
export function registeredMetrics(): ReadonlyMap<string, RowMetric> {
  return new Map([...(pluginsOf('metrics') as ReadonlyMap<string, RowMetric>), ...registered]);
}

/** All metrics of an answer. BLEU and ROUGE are LLaMA-Factory's, in per cent; exact match and F1 are SQuAD's, from 0 to 1. */
export function rowScores(answer: ScoredAnswer, cut: WordCutter): Readonly<Record<RowMetricName, number>> {
  const { predict, label } = answer;
  return {
    ...similarityScores(predict, label, cut),
    exact_match: Number(isExactMatch(predict, label)),
    f1: wordF1(predict, label),
  };
}
