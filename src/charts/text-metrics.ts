/** How wide a text is in the shipped font, and which characters that font has. No file is read: widths are a table. */
import { widthRuns } from './font-widths.ts';

/** Width of a character that the shipped font lacks, in thousandths of the font size: the full width of CJK. */
const MISSING_WIDTH = 1000;

const regular = new Map<number, number>();
const semiBold = new Map<number, number>();
for (const run of widthRuns) {
  run.regular.forEach((width, i) => regular.set(run.first + i, width));
  run.semiBold.forEach((width, i) => semiBold.set(run.first + i, width));
}

/** Width in pixels of `text` at `fontSize` pixels, kerning left out. */
export function textWidth(text: string, fontSize: number, bold = false): number {
  const widths = bold ? semiBold : regular;
  let sum = 0;
  for (const character of text) sum += widths.get(character.codePointAt(0) ?? 0) ?? MISSING_WIDTH;
  return (sum * fontSize) / 1000;
}

/** Whether the shipped font can draw every character of `text`. */
export function isDrawable(text: string): boolean {
  for (const character of text) if (!regular.has(character.codePointAt(0) ?? 0)) return false;
  return true;
}

/** `text`, cut with an ellipsis where it is wider than `maxWidth` pixels. */
export function fitText(text: string, fontSize: number, maxWidth: number, bold = false): string {
  if (textWidth(text, fontSize, bold) <= maxWidth) return text;
  const characters = Array.from(text);
  let width = textWidth('…', fontSize, bold);
  let count = 0;
  for (const character of characters) {
    width += textWidth(character, fontSize, bold);
    if (width > maxWidth) break;
    count++;
  }
  return `${characters.slice(0, count).join('').trimEnd()}…`;
}
