/** Runs two step processes in turn on the same batches, so that a loaded minute hits both. */
import { median } from './machine.ts';
import type { Batch, StepProcess, StepReport } from './step-process.ts';

/** One side of a comparison. */
export interface Side {
  readonly name: string;
  readonly tokensPerSecond: number;
  readonly secondsPerStep: number;
  readonly peakGB: number;
  readonly losses: readonly number[];
}

/** Two sides, and the median over the rounds of ours' speed divided by theirs. */
export interface Comparison {
  readonly ours: Side;
  readonly theirs: Side;
  readonly speedRatio: number;
  readonly memoryRatio: number;
}

const countTokens = (batch: Batch) => batch.ids.reduce((sum, row) => sum + row.length, 0);

function side(process: StepProcess, batches: readonly Batch[], reports: readonly StepReport[]): Side {
  const seconds = reports.reduce((sum, report) => sum + report.seconds, 0);
  const tokens = batches.reduce((sum, batch) => sum + countTokens(batch), 0);
  const speeds = reports.map((report, i) => countTokens(batches[i]!) / report.seconds);
  const equalSizes = new Set(batches.map(countTokens)).size === 1;
  return {
    name: process.name,
    // Steps of one size: the median, which a disturbed step does not move. Of many sizes: all tokens over all seconds.
    tokensPerSecond: equalSizes ? median(speeds) : tokens / seconds,
    secondsPerStep: median(reports.map((report) => report.seconds)),
    peakGB: Math.max(...reports.map((report) => report.peakBytes)) / 1e9,
    losses: reports.map((report) => report.loss),
  };
}

/**
 * One warm-up step each on `warmUp`, then every batch on both, the first to run changing with each batch.
 * `oursBatches`, where given, are those that our side gets in place of `batches` (the same rows in another order).
 */
export async function alternate(
  ours: StepProcess,
  theirs: StepProcess,
  warmUp: Batch,
  batches: readonly Batch[],
  oursBatches: readonly Batch[] = batches,
): Promise<Comparison> {
  const losses = [await ours.step(warmUp), await theirs.step(warmUp)].map((report) => report.loss);
  process.stderr.write(`  first losses: ${losses.map((loss) => loss.toFixed(4)).join(' / ')}\n`);
  const oursReports: StepReport[] = [];
  const theirsReports: StepReport[] = [];
  for (const [i, batch] of batches.entries()) {
    const runOurs = async () => oursReports.push(await ours.step(oursBatches[i]!));
    const runTheirs = async () => theirsReports.push(await theirs.step(batch));
    for (const run of i % 2 === 0 ? [runOurs, runTheirs] : [runTheirs, runOurs]) await run();
    process.stderr.write(
      `  ${i + 1}/${batches.length}: ${oursReports[i]!.seconds.toFixed(2)} s / ${theirsReports[i]!.seconds.toFixed(2)} s\n`,
    );
  }
  const left = side(ours, oursBatches, oursReports);
  const right = side(theirs, batches, theirsReports);
  const sameWork = oursBatches === batches;
  return {
    ours: left,
    theirs: right,
    speedRatio: sameWork
      ? median(oursReports.map((report, i) => theirsReports[i]!.seconds / report.seconds))
      : left.tokensPerSecond / right.tokensPerSecond,
    memoryRatio: left.peakGB / right.peakGB,
  };
}

/** Comparisons as a Markdown table. */
export function comparisonTable(rows: readonly Comparison[]): string {
  const cells = rows.map(({ ours, theirs, speedRatio, memoryRatio }) => [
    ours.name,
    theirs.name,
    ours.tokensPerSecond.toFixed(1),
    theirs.tokensPerSecond.toFixed(1),
    speedRatio.toFixed(2),
    ours.peakGB.toFixed(2),
    theirs.peakGB.toFixed(2),
    memoryRatio.toFixed(2),
  ]);
  const head = ['ours', 'theirs', 'ours tok/s', 'theirs tok/s', 'speed ratio', 'ours GB', 'theirs GB', 'memory ratio'];
  return [head, head.map(() => '---'), ...cells].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
