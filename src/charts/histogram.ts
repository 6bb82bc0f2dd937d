/** Histograms as SVG: how often values of each size occur, with marked values such as a median or a limit. */
import { DataError } from '../errors.ts';
import { bottomRoom, chartLook, type ChartBase, header, leftRoom, scale, xAxis, yAxis } from './frame.ts';
import { ink, seriesColours } from './palette.ts';
import { document, element, line, text } from './svg.ts';
import { textWidth } from './text-metrics.ts';
import { niceTicks } from './ticks.ts';

/** A histogram of one set of values. */
export interface HistogramSpec extends ChartBase {
  /** Values that are not finite are refused. */
  readonly values: readonly number[];
  readonly xLabel?: string | undefined;
  /** What is counted; `count` unless given. */
  readonly yLabel?: string | undefined;
  /** About how many bars; left out, Freedman and Diaconis' rule, 10 to 60. */
  readonly bins?: number | undefined;
  /** Upright lines with a word, for example the median or `cutoff_len`. */
  readonly marks?: readonly { readonly value: number; readonly label: string }[] | undefined;
}

/** The bars of a histogram: `counts[i]` values lie in [low + i width, low + (i + 1) width), the last one's end included. */
export interface Bins {
  readonly low: number;
  readonly width: number;
  readonly counts: readonly number[];
}

/**
 * Sorts values into bars of one round width (whole where all values are whole).
 * @throws DataError where a value is not finite
 */
export function binValues(values: readonly number[], bins?: number): Bins {
  const sorted = Float64Array.from(values).sort();
  const wrong = values.find((value) => !Number.isFinite(value));
  if (wrong !== undefined) {
    const fields = { chart: 'histogram', requirement: 'values must be finite', actual: String(wrong) };
    throw new DataError('chart-invalid', fields);
  }
  const [low, high] = [sorted[0] ?? 0, sorted.at(-1) ?? 1];
  const whole = values.every(Number.isInteger);
  // A whole number has a width of one: without it the last two values would share a bar.
  const ticks = niceTicks(low, whole ? high + 1 : high, bins ?? suggestBins(sorted), whole);
  const count = Math.max(1, Math.round((ticks.high - ticks.low) / ticks.step));
  const counts = Array.from({ length: count }, () => 0);
  for (const value of sorted) {
    const bin = Math.min(count - 1, Math.max(0, Math.floor((value - ticks.low) / ticks.step + 1e-9)));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return { low: ticks.low, width: ticks.step, counts };
}

function suggestBins(sorted: Float64Array): number {
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  const range = at(1) - at(0);
  const width = (2 * (at(0.75) - at(0.25))) / Math.cbrt(Math.max(1, sorted.length));
  // Widths are rounded up to round numbers, by 1.5 on average.
  return Math.min(60, Math.max(10, width > 0 ? Math.round((1.5 * range) / width) : 10));
}

/**
 * Draws a histogram.
 * @returns a self-contained SVG document; all words are <text>
 * @throws DataError where a value is not finite or the size is out of bounds
 */
export function histogram(spec: HistogramSpec): string {
  const look = chartLook('histogram', spec, 520);
  const bins = binValues(spec.values, spec.bins);
  const most = bins.counts.reduce((a, b) => Math.max(a, b), 0);
  const axisY = { ticks: niceTicks(0, Math.max(1, most), 5, true), label: spec.yLabel ?? 'count' };
  const left = leftRoom(look, axisY);
  const head = header(look, spec, [], left);
  const marks = spec.marks ?? [];
  const size = look.tick * 0.93;
  // Marks have lanes of their own above the bars, so that their words cannot lie on one another.
  const lane = size * 1.4;
  const area = {
    left,
    top: head.height + marks.length * lane,
    right: look.width - look.padding - 10 * look.unit,
    bottom: look.height - bottomRoom(look, spec.xLabel),
  };
  const end = bins.low + bins.width * bins.counts.length;
  const [low, high] = marks.reduce(
    ([from, to], mark) => [Math.min(from, mark.value), Math.max(to, mark.value)],
    [bins.low, end],
  );
  const ticks = { ...niceTicks(low, high, Math.max(2, Math.round(look.width / 120)), false, false), low, high };
  const placeX = scale(ticks, area.left, area.right);
  const placeY = scale(axisY.ticks, area.bottom, area.top);
  const body = [
    ...head.elements,
    ...yAxis(look, axisY, area),
    ...xAxis(look, { ticks, label: spec.xLabel }, area, false),
  ];
  bins.counts.forEach((count, i) => {
    if (count === 0) return;
    const [from, to] = [placeX(bins.low + i * bins.width), placeX(bins.low + (i + 1) * bins.width)];
    const gap = Math.min(1, (to - from) * 0.1);
    const y = placeY(count);
    const shape = { x: from + gap / 2, y, width: to - from - gap, height: area.bottom - y };
    body.push(element('rect', { ...shape, fill: seriesColours[0], class: 'bar' }));
  });
  const base = Math.round(area.bottom) + 0.5;
  body.push(line(area.left, base, area.right, base, ink.axis, 1.25));
  marks.forEach((mark, i) => {
    const x = placeX(mark.value);
    const y = head.height + (i + 0.6) * lane;
    const toLeft = x + textWidth(mark.label, size) + 12 > area.right;
    body.push(line(x, y - size * 0.8, x, area.bottom, seriesColours[1], 2 * look.unit, '6 4'));
    const anchor = toLeft ? 'end' : 'start';
    body.push(text(x + (toLeft ? -6 : 6) * look.unit, y, mark.label, { size, anchor, colour: ink.title }));
  });
  return document(look.width, look.height, spec.title ?? 'histogram', body);
}
