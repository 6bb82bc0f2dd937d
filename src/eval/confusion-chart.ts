/** The confusion matrix of a label task as a picture: SVG, and PNG with a legend beside it where labels are not Latin. */
import { join } from 'node:path';
import { writeFileAtomically } from '../formats/index.ts';
import { evalTexts } from '../messages/eval.ts';
import type { LabelScores } from './scores.ts';

/** Draws the matrix as SVG; the column of unmapped answers stands only where there are any. */
export async function confusionSvg(scores: LabelScores, title: string): Promise<string> {
  const { matrixChart } = await import('../charts/index.ts');
  const { labels, confusion, unmapped } = scores;
  const columns = unmapped > 0 ? [...labels, evalTexts.unmapped] : labels;
  return matrixChart({
    title,
    subtitle: evalTexts.accuracy(scores.accuracy, scores.accuracyInterval, scores.n, unmapped),
    rows: labels,
    columns,
    counts: confusion.map((row) => row.slice(0, columns.length)),
    rowLabel: evalTexts.rightLabel,
    columnLabel: evalTexts.predictedLabel,
  });
}

/** Writes `confusion_matrix.svg` and `.png` into a folder. @returns the paths */
export async function writeConfusion(folder: string, scores: LabelScores, title: string): Promise<string[]> {
  const { legendText, svgToPng } = await import('../charts/index.ts');
  const svg = await confusionSvg(scores, title);
  const { png, legend } = await svgToPng(svg);
  const files: [string, string | Uint8Array][] = [
    ['confusion_matrix.svg', svg],
    ['confusion_matrix.png', png],
  ];
  if (legend.length > 0) files.push(['confusion_matrix.legend.txt', legendText(legend)]);
  for (const [name, content] of files) await writeFileAtomically(join(folder, name), content);
  return files.map(([name]) => join(folder, name));
}
