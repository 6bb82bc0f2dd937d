/** Line charts as SVG: any number of series over a common x axis, down-sampled where a run is longer than the picture is wide. */
import { DataError } from '../errors.ts';
import { downsample, type Points } from './downsample.ts';
import {
  type Area,
  bottomRoom,
  chartLook,
  type ChartBase,
  dot,
  header,
  leftRoom,
  type LegendEntry,
  type Look,
  scale,
  xAxis,
  yAxis,
} from './frame.ts';
import { blend, ink, seriesColour } from './palette.ts';
import { coordinate, document, element, line, text } from './svg.ts';
import { textWidth } from './text-metrics.ts';
import { formatTick, niceTicks } from './ticks.ts';

/** One line. `x` and `y` have equal length; a y that is not finite breaks the line. */
export interface LineSeries {
  readonly label: string;
  readonly x: readonly number[];
  readonly y: readonly number[];
  /** #RRGGBB; left out, the next one of the palette. */
  readonly colour?: string | undefined;
  /** `solid` (default); `faint`: thin and pale, for raw values behind a smoothed line; `points`; `dashed`. */
  readonly style?: 'solid' | 'faint' | 'points' | 'dashed' | undefined;
}

/** A line chart. */
export interface LineChartSpec extends ChartBase {
  readonly xLabel?: string | undefined;
  readonly yLabel?: string | undefined;
  readonly series: readonly LineSeries[];
  /** Ticks of the x axis at whole numbers only. */
  readonly wholeX?: boolean | undefined;
  /** The y axis begins at zero even where the values lie far above. */
  readonly fromZero?: boolean | undefined;
}

/** Above so many points in one series the points would merge into a band; then only the line is drawn. */
const MAX_DOTS = 80;

interface Prepared extends Points {
  readonly label: string;
  readonly colour: string;
  readonly style: NonNullable<LineSeries['style']>;
}

/**
 * Draws a line chart.
 * @returns a self-contained SVG document; all words are <text>
 * @throws DataError where x and y of a series differ in length, an x is not finite or the size is out of bounds
 */
export function lineChart(spec: LineChartSpec): string {
  const look = chartLook('lineChart', spec, 560);
  const { width, height } = look;
  const series = spec.series.map((one, i) => prepare(one, i));
  const [xLow, xHigh] = extent(series.flatMap((one) => one.x.filter((_, i) => Number.isFinite(one.y[i]))));
  const [yLow, yHigh] = extent(series.flatMap((one) => one.y.filter(Number.isFinite)));
  const hasData = Number.isFinite(xLow) && Number.isFinite(yLow);

  const legend = series.map((one): LegendEntry => ({
    label: one.label,
    colour: one.style === 'faint' ? faint(one.colour) : one.colour,
    kind: one.style === 'solid' ? 'line' : one.style,
  }));
  const yTicksFor = (count: number) =>
    niceTicks(hasData ? (spec.fromZero ? Math.min(0, yLow) : yLow) : 0, hasData ? yHigh : 1, count);
  let axisY = { ticks: yTicksFor(6), label: spec.yLabel };
  let left = leftRoom(look, axisY);
  const top = header(look, spec, legend, left);
  const bottom = height - bottomRoom(look, spec.xLabel);
  axisY = { ticks: yTicksFor(Math.max(2, Math.round((bottom - top.height) / (62 * look.unit)))), label: spec.yLabel };
  left = leftRoom(look, axisY);
  const right = width - look.padding - 10 * look.unit;
  const area: Area = { left, top: top.height, right, bottom };

  // As many x ticks as fit without touching: the widest word decides.
  const rough = niceTicks(hasData ? xLow : 0, hasData ? xHigh : 1, 8, spec.wholeX, false);
  const widest = Math.max(...rough.values.map((value) => textWidth(formatTick(value, rough.step), look.tick)), 20);
  const most = Math.max(2, Math.min(10, Math.floor((right - left) / (widest + 40 * look.unit))));
  const xTicks = niceTicks(hasData ? xLow : 0, hasData ? xHigh : 1, most, spec.wholeX, false);
  const axisX = { ticks: xTicks, label: spec.xLabel };

  const placeX = scale(xTicks, left, right);
  const placeY = scale(axisY.ticks, area.bottom, area.top);
  const body = [
    ...header(look, spec, legend, left).elements,
    ...yAxis(look, axisY, area),
    ...xAxis(look, axisX, area, false),
    line(left, Math.round(bottom) + 0.5, right, Math.round(bottom) + 0.5, ink.axis, 1.25),
  ];
  for (const one of series) body.push(...drawSeries(look, one, Math.ceil(right - left), placeX, placeY));
  if (!hasData) {
    const words = 'no values yet';
    body.push(text((left + right) / 2, (area.top + bottom) / 2, words, { size: look.label, anchor: 'middle' }));
  }
  return document(width, height, spec.title ?? spec.yLabel ?? 'line chart', body);
}

function prepare(series: LineSeries, index: number): Prepared {
  const where = `lineChart: series "${series.label}"`;
  if (series.x.length !== series.y.length) {
    const actual = `${series.x.length} and ${series.y.length}`;
    throw new DataError('chart-invalid', { chart: where, requirement: 'x and y must have equal length', actual });
  }
  const wrong = series.x.find((value) => !Number.isFinite(value));
  if (wrong !== undefined) {
    throw new DataError('chart-invalid', { chart: where, requirement: 'x must be finite', actual: String(wrong) });
  }
  const order = series.x.map((_, i) => i).sort((a, b) => (series.x[a] ?? 0) - (series.x[b] ?? 0));
  return {
    label: series.label,
    colour: series.colour ?? seriesColour(index),
    style: series.style ?? 'solid',
    x: order.map((i) => series.x[i] ?? 0),
    y: order.map((i) => series.y[i] ?? Number.NaN),
  };
}

/** Smallest and largest value; infinities where there is none. A loop, as spreading a million arguments would overflow. */
function extent(values: readonly number[]): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function faint(colour: string): string {
  return blend(colour, ink.background, 0.62);
}

function drawSeries(
  look: Look,
  series: Prepared,
  columns: number,
  placeX: (value: number) => number,
  placeY: (value: number) => number,
): string[] {
  const points = downsample(series, columns);
  const elements: string[] = [];
  const dots: string[] = [];
  let path = '';
  let inLine = false;
  let drawn = 0;
  points.x.forEach((x, i) => {
    const y = points.y[i] ?? Number.NaN;
    if (!Number.isFinite(y)) {
      inLine = false;
      return;
    }
    const [px, py] = [placeX(x), placeY(y)];
    path += `${path ? ' ' : ''}${inLine ? 'L' : 'M'}${coordinate(px)} ${coordinate(py)}`;
    // A value between two gaps has no line to show it.
    const alone = !inLine && !Number.isFinite(points.y[i + 1] ?? Number.NaN);
    if (alone || series.style === 'points') dots.push(dot(look, px, py, series.colour));
    inLine = true;
    drawn++;
  });
  if (drawn === 0) return [];
  elements.push(
    element('path', {
      d: path,
      fill: 'none',
      stroke: series.style === 'faint' ? faint(series.colour) : series.colour,
      'stroke-width': (series.style === 'faint' ? 1.5 : 2.75) * look.unit,
      'stroke-dasharray': series.style === 'dashed' ? '8 5' : undefined,
      'stroke-linejoin': 'round',
      'stroke-linecap': 'round',
      class: `series ${series.style}`,
    }),
  );
  if (dots.length <= MAX_DOTS) elements.push(...dots);
  return elements;
}
