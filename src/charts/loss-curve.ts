/** The loss curve of a run: raw values faint, their moving average on top, evaluation as points. */
import { lineChart, type LineSeries } from './line-chart.ts';
import { seriesColours } from './palette.ts';
import { smooth } from './smooth.ts';
import type { ChartBase } from './frame.ts';
import { formatValue } from './ticks.ts';

/**
 * A line of `trainer_log.jsonl` (`current_steps`) or of `trainer_state.json`'s log_history (`step`); other fields are
 * ignored, as are lines without a loss.
 */
export interface LossLogEntry {
  readonly step?: number | null | undefined;
  readonly current_steps?: number | null | undefined;
  readonly loss?: number | null | undefined;
  readonly eval_loss?: number | null | undefined;
}

/** Raw and smoothed lines look alike below this many values, so that only one is drawn. */
const SMOOTH_FROM = 5;

/**
 * Draws training and evaluation loss over steps.
 * @param log in the order of the run; where a step stands twice (after a resume) the later line counts
 * @returns a self-contained SVG document that holds the words "loss" and "step"
 */
export function lossCurve(log: readonly LossLogEntry[], options: ChartBase = {}): string {
  const training = collect(log, 'loss');
  const evaluation = collect(log, 'eval_loss');
  const [blue, vermilion] = seriesColours;
  const series: LineSeries[] = [];
  if (training.x.length >= SMOOTH_FROM) {
    series.push(
      { label: 'training loss', ...training, colour: blue, style: 'faint' },
      { label: 'training loss, smoothed', x: training.x, y: smooth(training.y), colour: blue },
    );
  } else {
    series.push({ label: 'training loss', ...training, colour: blue, style: 'points' });
  }
  if (evaluation.x.length > 0) {
    series.push({ label: 'evaluation loss', ...evaluation, colour: vermilion, style: 'points' });
  }
  return lineChart({
    ...options,
    title: options.title ?? 'Training loss',
    subtitle: options.subtitle ?? summary(training, evaluation),
    xLabel: 'step',
    yLabel: 'loss',
    wholeX: true,
    series,
  });
}

function collect(log: readonly LossLogEntry[], key: 'loss' | 'eval_loss'): { x: number[]; y: number[] } {
  const bySteps = new Map<number, number>();
  for (const entry of log) {
    const step = entry.current_steps ?? entry.step;
    const value = entry[key];
    if (typeof step === 'number' && Number.isFinite(step) && typeof value === 'number') bySteps.set(step, value);
  }
  const x = [...bySteps.keys()].sort((a, b) => a - b);
  return { x, y: x.map((step) => bySteps.get(step) ?? Number.NaN) };
}

function summary(
  training: { x: readonly number[]; y: readonly number[] },
  evaluation: { x: readonly number[]; y: readonly number[] },
): string | undefined {
  const parts: string[] = [];
  const finite = training.y.filter(Number.isFinite);
  const [first, last] = [finite[0], finite.at(-1)];
  if (first !== undefined && last !== undefined) {
    const end = formatValue(training.x.at(-1) ?? 0);
    parts.push(`training ${formatValue(first)} → ${formatValue(last)} at step ${end}`);
  }
  let best = -1;
  evaluation.y.forEach((value, i) => {
    if (Number.isFinite(value) && (best < 0 || value < (evaluation.y[best] ?? 0))) best = i;
  });
  if (best >= 0) {
    const step = formatValue(evaluation.x[best] ?? 0);
    parts.push(`best evaluation ${formatValue(evaluation.y[best] ?? 0)} at step ${step}`);
  }
  return parts.length > 0 ? parts.join('   ·   ') : undefined;
}
