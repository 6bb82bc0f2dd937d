/** What all charts with axes share: size, title, legend, grid, ticks and axis names. */
import { DataError } from '../errors.ts';
import { ink } from './palette.ts';
import { element, line, text } from './svg.ts';
import { fitText, textWidth } from './text-metrics.ts';
import { formatTick, type Ticks } from './ticks.ts';

/** Settings that every chart takes. */
export interface ChartBase {
  readonly title?: string | undefined;
  /** A smaller line under the title, for the figures that matter. */
  readonly subtitle?: string | undefined;
  /** Pixels; 960 unless given, at least 400. */
  readonly width?: number | undefined;
  /** Pixels; at least 250. */
  readonly height?: number | undefined;
}

/** Smallest picture that is still legible, and a bound that keeps a slip of the pen from filling the memory. */
const MIN_WIDTH = 400;
const MIN_HEIGHT = 250;
const MAX_SIDE = 10_000;

/** Sizes in pixels of everything that is not data. Small pictures have smaller ones, down to what is still legible. */
export interface Look {
  readonly width: number;
  readonly height: number;
  readonly padding: number;
  readonly title: number;
  readonly subtitle: number;
  readonly label: number;
  readonly tick: number;
  readonly legend: number;
  /** 1 at the usual size; gaps and symbols are multiplied by it. */
  readonly unit: number;
}

/** The sizes of a chart. @throws DataError where a side is too small or too large. */
export function chartLook(chart: string, spec: ChartBase, height: number): Look {
  const size = { width: spec.width ?? 960, height: spec.height ?? height };
  for (const [side, least] of [
    ['width', MIN_WIDTH],
    ['height', MIN_HEIGHT],
  ] as const) {
    if (!(size[side] >= least && size[side] <= MAX_SIDE)) {
      const requirement = `${side} must be from ${least} to ${MAX_SIDE} pixels`;
      throw new DataError('chart-invalid', { chart, requirement, actual: String(size[side]) });
    }
  }
  const unit = Math.min(1, Math.max(0.62, Math.min(size.width / 800, size.height / 480)));
  return {
    ...size,
    padding: 24 * unit,
    title: 21 * unit,
    subtitle: 15 * unit,
    label: 16 * unit,
    tick: 15 * unit,
    legend: 15 * unit,
    unit,
  };
}

/** One entry of a legend: a line, a line with points, or a filled square. */
export interface LegendEntry {
  readonly label: string;
  readonly colour: string;
  readonly kind: 'line' | 'faint' | 'points' | 'dashed' | 'box';
}

/** Title, subtitle and legend from the top down. Returns the elements and the height they take, padding included. */
export function header(
  look: Look,
  spec: ChartBase,
  legend: readonly LegendEntry[],
  left: number,
): { elements: string[]; height: number } {
  const elements: string[] = [];
  const room = look.width - left - look.padding;
  let y = look.padding;
  if (spec.title) {
    y += look.title * 0.8;
    const words = fitText(spec.title, look.title, room, true);
    elements.push(text(left, y, words, { size: look.title, bold: true, colour: ink.title }));
    y += look.title * 0.35;
  }
  if (spec.subtitle) {
    y += look.subtitle * 1.05;
    elements.push(text(left, y, fitText(spec.subtitle, look.subtitle, room), { size: look.subtitle }));
    y += look.subtitle * 0.35;
  }
  if (legend.length > 0) {
    const drawn = drawLegend(look, legend, left, y + 10 * look.unit, room);
    elements.push(...drawn.elements);
    y += drawn.height + 10 * look.unit;
  }
  return { elements, height: y + 14 * look.unit };
}

function drawLegend(
  look: Look,
  entries: readonly LegendEntry[],
  left: number,
  top: number,
  room: number,
): { elements: string[]; height: number } {
  const rowHeight = look.legend * 1.5;
  const elements: string[] = [];
  let x = left;
  let y = top + rowHeight / 2;
  for (const entry of entries) {
    const sample = (entry.kind === 'box' ? 15 : 28) * look.unit;
    const gap = 8 * look.unit;
    const label = fitText(entry.label, look.legend, room - sample - gap);
    const needed = sample + gap + textWidth(label, look.legend);
    if (x > left && x + needed > left + room) {
      x = left;
      y += rowHeight;
    }
    if (entry.kind === 'box') {
      elements.push(
        element('rect', { x, y: y - sample / 2, width: sample, height: sample, rx: sample / 5, fill: entry.colour }),
      );
    } else {
      const dash = entry.kind === 'dashed' ? '7 5' : undefined;
      elements.push(line(x, y, x + sample, y, entry.colour, (entry.kind === 'faint' ? 2 : 3) * look.unit, dash));
      if (entry.kind === 'points') elements.push(dot(look, x + sample / 2, y, entry.colour));
    }
    elements.push(text(x + sample + gap, y + look.legend * 0.36, label, { size: look.legend }));
    x += needed + 26 * look.unit;
  }
  return { elements, height: y + rowHeight / 2 - top };
}

/** A point with a white rim, so that it stands out on its own line. */
export function dot(look: Look, x: number, y: number, colour: string): string {
  return element('circle', {
    cx: x,
    cy: y,
    r: 4.5 * look.unit,
    fill: colour,
    stroke: ink.background,
    'stroke-width': 1.5,
    class: 'point',
  });
}

/** The rectangle inside the axes, in pixels. */
export interface Area {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** A value axis: its ticks and its name. */
export interface ValueAxis {
  readonly ticks: Ticks;
  readonly label: string | undefined;
}

/** Pixels that the y axis with its tick words and its name takes on the left. */
export function leftRoom(look: Look, axis: ValueAxis): number {
  const words = axis.ticks.values.map((value) => formatTick(value, axis.ticks.step));
  const widest = Math.max(0, ...words.map((word) => textWidth(word, look.tick)));
  return look.padding + (axis.label ? look.label + 14 * look.unit : 0) + widest + 10 * look.unit;
}

/** Pixels that the x axis with its tick words and its name takes at the bottom. */
export function bottomRoom(look: Look, label: string | undefined): number {
  return look.tick + 12 * look.unit + (label ? look.label + 12 * look.unit : 0) + look.padding * 0.6;
}

/** Where a value lies between two pixels. */
export function scale(ticks: Ticks, from: number, to: number): (value: number) => number {
  const span = ticks.high - ticks.low;
  return (value) => from + ((value - ticks.low) / span) * (to - from);
}

/** Horizontal grid lines with the tick words at the left, and the name of the axis. */
export function yAxis(look: Look, axis: ValueAxis, area: Area): string[] {
  const place = scale(axis.ticks, area.bottom, area.top);
  const elements: string[] = [];
  for (const value of axis.ticks.values) {
    const y = Math.round(place(value)) + 0.5;
    elements.push(line(area.left, y, area.right, y, ink.grid));
    const word = formatTick(value, axis.ticks.step);
    elements.push(text(area.left - 10 * look.unit, y + look.tick * 0.35, word, { size: look.tick, anchor: 'end' }));
  }
  if (axis.label) elements.push(yAxisName(look, axis.label, area));
  return elements;
}

/** The name of a vertical axis, turned, in the middle of the left edge. */
export function yAxisName(look: Look, label: string, area: Area): string {
  const middle = (area.top + area.bottom) / 2;
  const words = fitText(label, look.label, area.bottom - area.top);
  return text(look.padding + look.label * 0.5, middle, words, {
    size: look.label,
    anchor: 'middle',
    colour: ink.title,
    rotate: -90,
  });
}

/** Tick marks with their words under the lower edge, and the name of the axis. `grid` draws lines up the whole area. */
export function xAxis(look: Look, axis: ValueAxis, area: Area, grid: boolean): string[] {
  const place = scale(axis.ticks, area.left, area.right);
  const elements: string[] = [];
  for (const value of axis.ticks.values) {
    const x = Math.round(place(value)) + 0.5;
    elements.push(
      grid
        ? line(x, area.top, x, area.bottom, ink.grid)
        : line(x, area.bottom, x, area.bottom + 5 * look.unit, ink.axis),
    );
    const word = formatTick(value, axis.ticks.step);
    elements.push(text(x, area.bottom + look.tick + 8 * look.unit, word, { size: look.tick, anchor: 'middle' }));
  }
  if (axis.label) elements.push(xAxisName(look, axis.label, area));
  return elements;
}

/** The name of a horizontal axis, in the middle below the tick words. */
export function xAxisName(look: Look, label: string, area: Area): string {
  const middle = (area.left + area.right) / 2;
  const words = fitText(label, look.label, area.right - area.left);
  const y = area.bottom + look.tick + look.label + 20 * look.unit;
  return text(middle, y, words, { size: look.label, anchor: 'middle', colour: ink.title });
}
