/** Bars as SVG: side by side or stacked, upright or lying, with intervals where the values are uncertain. */
import { DataError } from '../errors.ts';
import {
  type Area,
  bottomRoom,
  chartLook,
  type ChartBase,
  header,
  type LegendEntry,
  leftRoom,
  type Look,
  scale,
  xAxis,
  yAxis,
  yAxisName,
  xAxisName,
} from './frame.ts';
import { ink, seriesColour, textOn } from './palette.ts';
import { document, element, line, text } from './svg.ts';
import { fitText, textWidth } from './text-metrics.ts';
import { formatTick, formatValue, niceTicks, type Ticks } from './ticks.ts';

/** One value for each category. */
export interface BarSeries {
  readonly label: string;
  readonly values: readonly number[];
  /** Lower and upper end for each value, drawn as a whisker; not for stacked bars. */
  readonly intervals?: readonly (readonly [number, number])[] | undefined;
  /** #RRGGBB; left out, the next one of the palette. */
  readonly colour?: string | undefined;
}

/** A bar chart. */
export interface BarChartSpec extends ChartBase {
  readonly categories: readonly string[];
  readonly series: readonly BarSeries[];
  /** Values of one category on top of each other (or end to end) instead of side by side. */
  readonly stacked?: boolean | undefined;
  /** Left out, upright where the names of the categories fit under the bars. */
  readonly direction?: 'upright' | 'lying' | undefined;
  readonly categoryLabel?: string | undefined;
  readonly valueLabel?: string | undefined;
  /** The words on a bar; `formatValue` unless given, `null` for none. */
  readonly format?: ((value: number) => string) | null | undefined;
}

/**
 * Draws a bar chart. Bars begin at zero.
 * @returns a self-contained SVG document; all words are <text>
 * @throws DataError where the number of values differs from that of the categories or a value is not finite, or where a
 *   stacked value is negative
 */
export function barChart(spec: BarChartSpec): string {
  check(spec);
  const lying = (spec.direction ?? suggestDirection(spec)) === 'lying';
  const rows = spec.categories.length * (spec.stacked ? 1 : spec.series.length);
  const look = chartLook('barChart', spec, lying ? Math.min(2000, Math.max(320, 230 + rows * 44)) : 560);
  const ticks = valueTicks(spec, lying ? Math.max(2, Math.round(look.width / 130)) : 6);
  const legend =
    spec.series.length > 1
      ? spec.series.map((one, i): LegendEntry => ({ label: one.label, colour: colourOf(one, i), kind: 'box' }))
      : [];
  const left = lying ? lyingLeft(look, spec) : leftRoom(look, { ticks, label: spec.valueLabel });
  const head = header(look, spec, legend, left);
  const bottom = look.height - bottomRoom(look, lying ? spec.valueLabel : spec.categoryLabel);
  const area: Area = {
    left,
    top: lying || spec.stacked ? head.height : uprightTop(look, spec, ticks, head.height, bottom),
    right: lying && !spec.stacked ? lyingRight(look, spec, ticks, left) : rightEdge(look),
    bottom,
  };
  const body = [...head.elements];
  const axis = { ticks, label: spec.valueLabel };
  body.push(...(lying ? xAxis(look, axis, area, true) : yAxis(look, axis, area)));
  body.push(...(lying ? lyingNames(look, spec, area) : uprightNames(look, spec, area)));
  body.push(...bars(look, spec, area, ticks, lying));
  const zero = scale(ticks, lying ? area.left : area.bottom, lying ? area.right : area.top)(0);
  const at = Math.round(zero) + 0.5;
  body.push(
    lying ? line(at, area.top, at, area.bottom, ink.axis, 1.25) : line(area.left, at, area.right, at, ink.axis, 1.25),
  );
  return document(look.width, look.height, spec.title ?? spec.valueLabel ?? 'bar chart', body);
}

function check(spec: BarChartSpec): void {
  for (const series of spec.series) {
    const chart = `barChart: series "${series.label}"`;
    const count = spec.categories.length;
    for (const [what, length] of [
      ['values', series.values.length],
      ['intervals', series.intervals?.length ?? count],
    ] as const) {
      if (length !== count) {
        const requirement = `${what} must be one for each of ${count} categories`;
        throw new DataError('chart-invalid', { chart, requirement, actual: String(length) });
      }
    }
    const wrong = series.values.find((value) => !Number.isFinite(value) || (spec.stacked && value < 0));
    if (wrong !== undefined) {
      const requirement = `values must be finite${spec.stacked ? ' and not negative' : ''}`;
      throw new DataError('chart-invalid', { chart, requirement, actual: String(wrong) });
    }
  }
}

function colourOf(series: BarSeries, index: number): string {
  return series.colour ?? seriesColour(index);
}

function suggestDirection(spec: BarChartSpec): 'upright' | 'lying' {
  const room = ((spec.width ?? 960) * 0.85) / Math.max(1, spec.categories.length);
  return spec.categories.every((name) => textWidth(name, 15) <= room - 12) ? 'upright' : 'lying';
}

function valueTicks(spec: BarChartSpec, count: number): Ticks {
  let [low, high] = [0, 0];
  for (let c = 0; c < spec.categories.length; c++) {
    let stack = 0;
    for (const series of spec.series) {
      const value = series.values[c] ?? 0;
      stack += value;
      const [from, to] = series.intervals?.[c] ?? [value, value];
      low = Math.min(low, value, from);
      high = Math.max(high, value, to, spec.stacked ? stack : value);
    }
  }
  return niceTicks(low, high === low ? 1 : high, count);
}

function lyingLeft(look: Look, spec: BarChartSpec): number {
  const widest = Math.max(0, ...spec.categories.map((name) => textWidth(name, look.tick)));
  const named = spec.categoryLabel ? look.label + 14 * look.unit : 0;
  return look.padding + named + Math.min(widest, look.width * 0.35) + 10 * look.unit;
}

function rightEdge(look: Look): number {
  return look.width - look.padding - 10 * look.unit;
}

/** Values that stand beyond the ends of bars, each with the share of the axis at which its bar or whisker ends. */
function wordsBeyond(spec: BarChartSpec, ticks: Ticks): { readonly words: string; readonly end: number }[] {
  const share = scale(ticks, 0, 1);
  return spec.series.flatMap(({ values, intervals }) =>
    values.flatMap((value, c) => {
      const words = valueText(spec, value);
      const end = share(intervals?.[c]?.[1] ?? value);
      return words === undefined || value < 0 || end <= 0 ? [] : [{ words, end }];
    }),
  );
}

/** Where lying bars must end for the values behind them to have room. */
function lyingRight(look: Look, spec: BarChartSpec, ticks: Ticks, left: number): number {
  const rights = wordsBeyond(spec, ticks).map(({ words, end }) => {
    const beyond = valueGap * look.unit + textWidth(words, valueSize(look));
    return left + (look.width - look.padding - beyond - left) / end;
  });
  return Math.min(rightEdge(look), ...rights);
}

/** Where upright bars must end for the values above them to stay below the legend. */
function uprightTop(look: Look, spec: BarChartSpec, ticks: Ticks, top: number, bottom: number): number {
  const beyond = valueGap * look.unit + valueSize(look);
  return Math.max(top, ...wordsBeyond(spec, ticks).map(({ end }) => bottom - (bottom - top - beyond) / end));
}

function lyingNames(look: Look, spec: BarChartSpec, area: Area): string[] {
  const slot = (area.bottom - area.top) / Math.max(1, spec.categories.length);
  const elements = spec.categories.map((name, c) => {
    const y = area.top + slot * (c + 0.5) + look.tick * 0.35;
    const words = fitText(name, look.tick, look.width * 0.35);
    return text(area.left - 10 * look.unit, y, words, { size: look.tick, anchor: 'end' });
  });
  if (spec.categoryLabel) elements.push(yAxisName(look, spec.categoryLabel, area));
  return elements;
}

function uprightNames(look: Look, spec: BarChartSpec, area: Area): string[] {
  const slot = (area.right - area.left) / Math.max(1, spec.categories.length);
  const elements = spec.categories.map((name, c) => {
    const words = fitText(name, look.tick, slot - 6 * look.unit);
    const y = area.bottom + look.tick + 8 * look.unit;
    return text(area.left + slot * (c + 0.5), y, words, { size: look.tick, anchor: 'middle' });
  });
  if (spec.categoryLabel) elements.push(xAxisName(look, spec.categoryLabel, area));
  return elements;
}

function bars(look: Look, spec: BarChartSpec, area: Area, ticks: Ticks, lying: boolean): string[] {
  const along = lying ? scale(ticks, area.left, area.right) : scale(ticks, area.bottom, area.top);
  const start = lying ? area.top : area.left;
  const slot = (lying ? area.bottom - area.top : area.right - area.left) / Math.max(1, spec.categories.length);
  const lanes = spec.stacked ? 1 : Math.max(1, spec.series.length);
  const thickness = Math.min((slot * 0.76) / lanes, 72 * look.unit);
  const elements: string[] = [];
  spec.categories.forEach((_, c) => {
    let base = 0;
    spec.series.forEach((series, s) => {
      const value = series.values[c] ?? 0;
      const lane = spec.stacked ? 0 : s;
      const across = start + slot * (c + 0.5) + (lane - lanes / 2) * thickness;
      const [from, to] = [along(base), along(base + value)];
      const colour = colourOf(series, s);
      const gap = spec.stacked ? 0 : 1.5 * look.unit;
      elements.push(rectangle(lying, from, to, across + gap, thickness - 2 * gap, colour));
      const interval = series.intervals?.[c];
      if (interval && !spec.stacked)
        elements.push(...whisker(look, lying, interval.map(along), across + thickness / 2));
      const beyond = spec.stacked || !interval ? to : along(value < 0 ? interval[0] : interval[1]);
      elements.push(
        ...valueWords(look, spec, lying, value, [from, spec.stacked ? to : beyond], across, thickness, colour),
      );
      if (spec.stacked) base += value;
    });
  });
  return elements;
}

function rectangle(lying: boolean, from: number, to: number, across: number, thickness: number, fill: string): string {
  const [low, length] = [Math.min(from, to), Math.abs(to - from)];
  return lying
    ? element('rect', { x: low, y: across, width: length, height: thickness, fill, class: 'bar' })
    : element('rect', { x: across, y: low, width: thickness, height: length, fill, class: 'bar' });
}

function whisker(look: Look, lying: boolean, ends: readonly number[], middle: number): string[] {
  const [low = 0, high = 0] = ends;
  const half = 5 * look.unit;
  const draw = (a: number, across1: number, b: number, across2: number) =>
    lying ? line(a, across1, b, across2, ink.title, 1.5) : line(across1, a, across2, b, ink.title, 1.5);
  return [
    draw(low, middle, high, middle),
    draw(low, middle - half, low, middle + half),
    draw(high, middle - half, high, middle + half),
  ];
}

/** Between the end of a bar and its value. */
const valueGap = 6;

const valueSize = (look: Look): number => look.tick * 0.93;

function valueText(spec: BarChartSpec, value: number): string | undefined {
  return spec.format === null ? undefined : (spec.format ?? formatValue)(value);
}

/** The value inside its part of a stacked bar, or beyond the end of a free one; left out where it would not fit. */
function valueWords(
  look: Look,
  spec: BarChartSpec,
  lying: boolean,
  value: number,
  [from, to]: readonly [number, number],
  across: number,
  thickness: number,
  colour: string,
): string[] {
  const words = valueText(spec, value);
  if (words === undefined || (spec.stacked && value === 0)) return [];
  const size = valueSize(look);
  const width = textWidth(words, size);
  const middle = across + thickness / 2;
  const room = spec.stacked ? Math.abs(to - from) : Number.POSITIVE_INFINITY;
  if (lying ? width + 6 > room || size > thickness : width > thickness * 1.5 || size * 1.2 > room) return [];
  if (spec.stacked) {
    const at = (from + to) / 2;
    const style = { size, anchor: 'middle', colour: textOn(colour) } as const;
    return [lying ? text(at, middle + size * 0.35, words, style) : text(middle, at + size * 0.35, words, style)];
  }
  const gap = valueGap * look.unit;
  if (lying) {
    const anchor = value < 0 ? 'end' : 'start';
    return [text(to + (value < 0 ? -gap : gap), middle + size * 0.35, words, { size, anchor })];
  }
  return [text(middle, value < 0 ? to + gap + size * 0.8 : to - gap, words, { size, anchor: 'middle' })];
}

/** A share as a whole per cent, for `format`. */
export function formatShare(value: number): string {
  return `${formatTick(Math.round(value * 100), 1)}%`;
}
