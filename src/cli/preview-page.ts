/** Previewed rows as one HTML page that needs nothing else: each token shows its id, bytes, label and weight. */
import type { PreviewedRow } from '../data/index.ts';
import { previewTexts } from '../messages/cli.ts';
import { escapeHtml } from '../util/index.ts';
import { shownTokens, visibleText, type TokenNames } from './token-text.ts';

const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

const style = `
body { font: 15px/1.7 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; background: #fff; }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin: 2rem 0 .4rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; padding: .8rem 1rem; border: 1px solid #d0d7de; border-radius: 6px; font: 14px/1.9 ui-monospace, monospace; }
i { font-style: normal; border-radius: 3px; color: #57606a; } i:hover { outline: 1px solid #57606a; }
i.t { background: #b7e4c7; color: #0b3d1e; } i.t:nth-of-type(even) { background: #8fd3a6; }
.dropped { color: #b42318; } .legend i { padding: 0 .4rem; }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3; } pre { border-color: #30363d; } i { color: #8b949e; }
 i.t { background: #14532d; color: #d1fadf; } i.t:nth-of-type(even) { background: #1c6b3c; } .dropped { color: #ff8a80; } }
`;

/** The start of the page. */
export function previewPageHead(title: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${style}</style></head><body>
<h1>${escapeHtml(title)}</h1>
<p class="legend"><i class="t">${escapeHtml(previewTexts.trained)}</i> <i>${escapeHtml(previewTexts.untrained)}</i> ${escapeHtml(previewTexts.hover)}</p>
`;
}

/** One row of the page. */
export function previewPageRow(row: PreviewedRow, names: TokenNames): string {
  const trained = row.labels.filter((label) => label !== -100).length;
  const heading = previewTexts.row(row.row, `${row.file}:${row.line}`, row.input_ids.length, trained);
  const title = `<h2 id="row-${row.row}">${escapeHtml(heading)}</h2>\n`;
  if (row.dropped !== undefined) {
    return `${title}<p class="dropped">${escapeHtml(previewTexts.dropped(row.dropped, row.reason))}</p>\n`;
  }
  const tokens = shownTokens(row, names).map((token, index) => {
    const reason = row.reasons?.[index];
    const about = previewTexts.token({
      position: index,
      id: token.id,
      bytes: hex(token.bytes),
      label: row.labels[index]!,
      weight: token.weight,
      why: reason === undefined ? undefined : previewTexts.reasons[reason],
    });
    return `<i${token.trained ? ' class="t"' : ''} title="${escapeHtml(about)}">${escapeHtml(visibleText(token.text))}</i>`;
  });
  return `${title}<pre>${tokens.join('')}</pre>\n`;
}

/** The end of the page. */
export const previewPageTail = '</body></html>\n';
