/** What a task comes to (contract 36), and what is said while it runs. */
import { bootstrapShare, type Interval } from '../intervals.ts';
import { mean } from '../python-text.ts';

/** A number of a task. */
export interface TaskResult {
  readonly task: string;
  readonly metric: string;
  readonly value: number;
  /** 95 % interval by bootstrap; Wilson's of a share of none or all. */
  readonly ci: Interval | null;
  /** Questions, texts or tokens that the value is made of. */
  readonly n: number;
  /** Parts of the task, or its further metrics. */
  readonly parts?: readonly TaskResult[];
  /** How it was measured, as far as another way would give another number. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

/** Told after each question. */
export type TaskProgress = (done: number, total: number) => void;

/** The share of right answers. */
export function accuracyOf(task: string, right: readonly boolean[], seed: number): TaskResult {
  const values = right.map(Number);
  const ci = values.length === 0 ? null : bootstrapShare(values, { seed });
  return { task, metric: 'acc', value: mean(values), ci, n: values.length };
}
