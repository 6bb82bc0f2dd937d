/** Matrices of counts as SVG, such as confusion matrices: shade by the share of the row, the count and the share as words. */
import { DataError } from '../errors.ts';
import { chartLook, type ChartBase, header } from './frame.ts';
import { blend, ink, seriesColours, textOn } from './palette.ts';
import { document, element, text } from './svg.ts';
import { fitText, textWidth } from './text-metrics.ts';
import { formatTick } from './ticks.ts';

/** A matrix of counts. */
export interface MatrixChartSpec extends ChartBase {
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** counts[row][column], whole numbers from 0. */
  readonly counts: readonly (readonly number[])[];
  readonly rowLabel?: string | undefined;
  readonly columnLabel?: string | undefined;
}

/**
 * Draws a matrix of counts; each cell says its count and its share of the row.
 * @returns a self-contained SVG document; all words are <text>
 * @throws DataError where `counts` does not fit `rows` and `columns` or holds a value that is negative or not finite
 */
export function matrixChart(spec: MatrixChartSpec): string {
  check(spec);
  const cells = Math.max(spec.rows.length, 1);
  const look = chartLook('matrixChart', spec, Math.min(1600, Math.max(420, 240 + cells * 74)));
  const widest = Math.max(0, ...spec.rows.map((name) => textWidth(name, look.tick)));
  const nameRoom = Math.min(widest, look.width * 0.3);
  const gap = 10 * look.unit;
  const left = look.padding + (spec.rowLabel ? look.label + 14 * look.unit : 0) + nameRoom + gap;
  const head = header(look, spec, [], left);
  const top = head.height + (spec.columnLabel ? look.label + gap : 0) + look.tick + gap;
  const right = look.width - look.padding;
  const bottom = look.height - look.padding;
  const cellWidth = Math.min((right - left) / Math.max(1, spec.columns.length), 220 * look.unit);
  const cellHeight = (bottom - top) / cells;
  const body = [...head.elements];
  const middleX = left + (cellWidth * spec.columns.length) / 2;
  const name = { size: look.label, anchor: 'middle', colour: ink.title } as const;
  if (spec.columnLabel) body.push(text(middleX, head.height + look.label * 0.8, spec.columnLabel, name));
  if (spec.rowLabel) {
    body.push(text(look.padding + look.label * 0.5, (top + bottom) / 2, spec.rowLabel, { ...name, rotate: -90 }));
  }
  spec.columns.forEach((column, c) => {
    const words = fitText(column, look.tick, cellWidth - 6);
    body.push(text(left + cellWidth * (c + 0.5), top - gap * 0.8, words, { size: look.tick, anchor: 'middle' }));
  });
  spec.rows.forEach((row, r) => {
    const y = top + cellHeight * r;
    const words = fitText(row, look.tick, nameRoom + 1);
    const baseline = y + cellHeight / 2 + look.tick * 0.35;
    body.push(text(left - gap, baseline, words, { size: look.tick, anchor: 'end' }));
    const counts = spec.counts[r] ?? [];
    const total = counts.reduce((a, b) => a + b, 0);
    counts.forEach((count, c) => {
      const share = total > 0 ? count / total : 0;
      const fill = blend('#F3F6F9', seriesColours[0], share);
      const x = left + cellWidth * c;
      const shape = { x: x + 1, y: y + 1, width: cellWidth - 2, height: cellHeight - 2, rx: 3 * look.unit };
      body.push(element('rect', { ...shape, fill, class: 'cell' }));
      body.push(...cellWords(count, share, x + cellWidth / 2, y + cellHeight / 2, cellWidth, cellHeight, textOn(fill)));
    });
  });
  return document(look.width, look.height, spec.title ?? 'matrix', body);

  function cellWords(
    count: number,
    share: number,
    x: number,
    y: number,
    width: number,
    height: number,
    colour: string,
  ): string[] {
    const size = Math.min(look.label * 1.1, height * 0.5);
    const words = formatTick(count, 1);
    if (size < 7 || textWidth(words, size, true) > width - 4) return [];
    const percent = `${Math.round(share * 100)}%`;
    const both = height > size * 2.9 && count > 0;
    const first = text(x, y + (both ? -size * 0.12 : size * 0.35), words, {
      size,
      bold: true,
      anchor: 'middle',
      colour,
    });
    return both ? [first, text(x, y + size * 1.02, percent, { size: size * 0.82, anchor: 'middle', colour })] : [first];
  }
}

function check(spec: MatrixChartSpec): void {
  const fail = (requirement: string, actual: string): never => {
    throw new DataError('chart-invalid', { chart: 'matrixChart', requirement, actual });
  };
  if (spec.counts.length !== spec.rows.length) {
    fail(`counts must have one row for each of ${spec.rows.length} names`, String(spec.counts.length));
  }
  for (const [r, row] of spec.counts.entries()) {
    if (row.length !== spec.columns.length) {
      fail(`counts[${r}] must have one value for each of ${spec.columns.length} columns`, String(row.length));
    }
    const wrong = row.find((value) => !(value >= 0 && Number.isFinite(value)));
    if (wrong !== undefined) fail(`counts[${r}] must hold finite numbers from 0`, String(wrong));
  }
}
