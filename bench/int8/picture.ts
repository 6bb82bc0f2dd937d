/** The runs of `bench/int8` in one picture: losses above, and how far the others are from f32 below. */
import { readFileSync, writeFileSync } from 'node:fs';
import { lineChart, type LineSeries, svgToPng } from '../../src/charts/index.ts';

/** One training, as its folder tells it. */
export interface Run {
  readonly label: string;
  readonly steps: readonly number[];
  readonly losses: readonly number[];
  readonly evalSteps: readonly number[];
  readonly evalLosses: readonly number[];
  /** Of the adapter on the model in f32. */
  readonly heldOut: number;
  /** Of the arithmetic, on the first batch of an untouched model and on that of the tuned one. */
  readonly error: { readonly loss: number; readonly cosine: number } | undefined;
  readonly errorAfter: { readonly loss: number; readonly cosine: number } | undefined;
}

const colours = ['#4d4d4d', '#0072b2', '#d55e00', '#999999'];
const size = { width: 1100, height: 480 };

/** Writes FILE.svg and FILE.png; the first run is the one that others are compared with. @returns the path of the PNG */
export async function drawRuns(file: string, title: string, runs: readonly Run[]): Promise<string> {
  const [first] = runs as [Run];
  const losses = runs.flatMap(({ label, steps, losses: y, evalSteps, evalLosses }, i): LineSeries[] => [
    { label: `${label}, training`, x: steps, y, colour: colours[i]!, style: i === 3 ? 'faint' : 'solid' },
    {
      label: `${label}, held out`,
      x: evalSteps,
      y: evalLosses,
      colour: colours[i]!,
      style: i === 3 ? 'dashed' : 'points',
    },
  ]);
  const differences = runs.slice(1).flatMap(({ label, losses: y, evalSteps, evalLosses }, i): LineSeries[] => {
    const colour = colours[i + 1]!;
    const minus = (a: readonly number[], b: readonly number[]) => a.map((value, k) => value - b[k]!);
    const heldOut: LineSeries = {
      label: `${label}, held out`,
      x: evalSteps,
      y: minus(evalLosses, first.evalLosses),
      colour,
      style: i === 2 ? 'dashed' : 'points',
    };
    // another seed has other batches: only its held-out losses can be compared
    if (i === 2) return [heldOut];
    return [
      { label: `${label}, training`, x: first.steps, y: minus(y, first.losses), colour, style: 'faint' },
      heldOut,
    ];
  });
  const subtitle = `held-out loss at the end, computed in f32:   ${runs.map((run) => `${run.label} ${run.heldOut.toFixed(4)}`).join('   ')}`;
  const axes = { xLabel: 'step', wholeX: true } as const;
  const above = lineChart({ title, subtitle, ...axes, yLabel: 'loss', series: losses, ...size });
  const below = lineChart({
    title: 'Difference from f32',
    ...axes,
    yLabel: 'difference of losses',
    series: differences,
    ...size,
  });
  const nested = below.slice(below.indexOf('<svg')).replace('<svg', `<svg y="${size.height}"`);
  const svg = above
    .replace(/height="\d+(\.\d+)?"/, `height="${2 * size.height}"`)
    .replace(/viewBox="0 0 (\d+) \d+"/, `viewBox="0 0 $1 ${2 * size.height}"`)
    .replace(/<\/svg>\s*$/, `${nested}</svg>`);
  writeFileSync(`${file}.svg`, svg);
  writeFileSync(`${file}.png`, (await svgToPng(svg)).png);
  return `${file}.png`;
}

/** Draws again what a report of `bench/int8/run.ts` holds. */
export async function redraw(report: string, name: string, file: string, title: string): Promise<string> {
  const runs = (JSON.parse(readFileSync(report, 'utf8')) as Record<string, readonly Run[]>)[name]!;
  return drawRuns(file, title, runs);
}
