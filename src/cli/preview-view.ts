/** A row as training sees it, in the terminal: trained tokens green and alternately bold, so that their borders show. */
import type { PreviewedRow } from '../data/index.ts';
import { previewTexts } from '../messages/cli.ts';
import type { Terminal } from './terminal.ts';
import { shownTokens, tokenStretches, visibleText, type TokenNames } from './token-text.ts';

/** Prints one row. Without colours, trained stretches stand in double brackets. */
export function printPreview(terminal: Terminal, row: PreviewedRow, names: TokenNames): void {
  const trained = row.labels.filter((label) => label !== -100).length;
  const place = `${row.file}:${row.line}`;
  terminal.line(terminal.style('bold', previewTexts.row(row.row, place, row.input_ids.length, trained)));
  if (row.dropped !== undefined) {
    terminal.line(terminal.style('red', previewTexts.dropped(row.dropped, row.reason)));
    terminal.line();
    return;
  }
  for (const stretch of tokenStretches(shownTokens(row, names))) {
    if (!terminal.hasColours) {
      const text = visibleText(stretch.tokens.map((token) => token.text).join(''));
      terminal.write(stretch.trained ? `⟦${text}⟧` : text);
      continue;
    }
    stretch.tokens.forEach((token, index) => {
      const text = visibleText(token.text);
      if (!stretch.trained) terminal.write(terminal.style('dim', text));
      else terminal.write(terminal.style('green', index % 2 === 0 ? text : terminal.style('bold', text)));
    });
  }
  terminal.line();
  terminal.line();
}
