/** `fettle data preview`: rows as training sees them: coloured tokens, one JSON object a line, or a page. */
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { type Notice, previewRows } from '../../data/index.ts';
import { DataError, FileError, UsageError } from '../../errors.ts';
import { previewTexts } from '../../messages/cli.ts';
import { type Command, configUsage, jsonFlag } from '../command.ts';
import { openDataCommand, printNotices } from '../data-arguments.ts';
import { previewPageHead, previewPageRow, previewPageTail } from '../preview-page.ts';
import { printPreview } from '../preview-view.ts';

/** Rows that are shown to people where they ask for none in particular. */
const FIRST_ROWS = 5;

/** Writes a page piece by piece; a page of many rows does not fit into one string. */
async function openPage(file: string): Promise<{ write(text: string): Promise<void>; close(): Promise<void> }> {
  const stream = createWriteStream(file);
  await once(stream, 'open').catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new FileError('file-unwritable', { file, reason }, { cause: error });
  });
  return {
    async write(text) {
      if (!stream.write(text)) await once(stream, 'drain');
    },
    async close() {
      stream.end();
      await once(stream, 'close');
    },
  };
}

function rowNumber(command: string, written: unknown): number | undefined {
  if (typeof written !== 'string') return undefined;
  const row = Number(written);
  if (!Number.isSafeInteger(row) || row < 0) {
    throw new UsageError('flag-value', { command, reason: previewTexts.rowNumber(written) });
  }
  return row;
}

export const command: Command = {
  usage: configUsage,
  flags: [
    { flags: '--row <number>', description: 'show this row (counted from 0 over all data sets)' },
    { flags: '--all', description: `show all rows, not the first ${FIRST_ROWS} only` },
    { flags: '--html <file>', description: 'write a page instead' },
    jsonFlag,
  ],
  notes: ['Green, or in double brackets, is what is trained. Needs the tokenizer and config.json, no weights.'],
  async run(context) {
    const { command, options, out } = context;
    const row = rowNumber(command, options['row']);
    if (row !== undefined && options['all'] === true)
      throw new UsageError('flags-exclude', { command, flags: ['--row', '--all'] });
    const { config, text } = await openDataCommand(context);
    const html = typeof options['html'] === 'string' ? options['html'] : undefined;
    const json = options['json'] === true;
    const all = options['all'] === true || row !== undefined;
    const notices: Notice[] = [];
    const page = html === undefined ? undefined : await openPage(html);
    await page?.write(previewPageHead(previewTexts.title));
    const shown = new Set<number>();
    for await (const preview of previewRows(config, text.encoder, { row }, notices)) {
      // A row may become several sequences.
      if (!all && shown.size === FIRST_ROWS && !shown.has(preview.row)) break;
      shown.add(preview.row);
      if (json) {
        // One word a token would make the lines three times as long.
        const fields = { ...preview, reasons: undefined };
        out.json(fields);
      }
      if (page !== undefined) await page.write(previewPageRow(preview, text.tokenizer));
      else if (!json) printPreview(out, preview, text.tokenizer);
    }
    await page?.write(previewPageTail);
    await page?.close();
    printNotices(context, notices);
    if (row !== undefined && shown.size === 0) throw new DataError('no-such-row', { row });
    if (html !== undefined && !json) out.line(html);
  },
};
