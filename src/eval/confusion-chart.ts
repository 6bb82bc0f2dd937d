/** The confusion matrix of a label task as a picture: SVG, and PNG with a legend beside it where labels are not Latin. */
import { evalTexts } from '../messages/eval.ts';
import { writePicture } from './picture-files.ts';
import type { LabelScores } from './scores.ts';

/** Draws the matrix as SVG; the column of unmapped answers stands only where there are any. */
export async function confusionSvg(scores: LabelScores, title: string, width?: number): Promise<string> {
  const { matrixChart } = await import('../charts/index.ts');
  const { labels, confusion, unmapped } = scores;
  const columns = unmapped > 0 ? [...labels, evalTexts.unmapped] : labels;
  return matrixChart({
    title,
    width: width ?? Math.min(960, 360 + 140 * columns.length),
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
  return writePicture(folder, 'confusion_matrix', await confusionSvg(scores, title));
}
