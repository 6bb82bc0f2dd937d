import { expect, test } from 'vitest';
import type { PreviewedRow } from '../data/index.ts';
import { escapeHtml } from '../util/index.ts';
import { previewPageHead, previewPageRow, previewPageTail } from './preview-page.ts';
import { printPreview } from './preview-view.ts';
import { Terminal } from './terminal.ts';
import { shownTokens } from './token-text.ts';

// One token a byte: a character of several bytes is spread over tokens.
const names = { tokenBytes: (id: number) => Uint8Array.of(id) };
const bytes = [...new TextEncoder().encode('a<b>\n你\u0001!')];
const row: PreviewedRow = {
  row: 3,
  dataset: 'set',
  file: 'data/set.jsonl',
  line: 4,
  input_ids: bytes,
  labels: bytes.map((id, index) => (index >= 5 ? id : -100)),
  weights: bytes.map(() => 0.5),
};
const dropped: PreviewedRow = {
  row: 4,
  dataset: 'set',
  file: 'data/set.jsonl',
  line: 5,
  input_ids: [],
  labels: [],
  dropped: 'empty-response',
  reason: 'output must not be empty',
};

function printed(isTTY: boolean, shown: PreviewedRow): string {
  let text = '';
  printPreview(new Terminal({ write: (part) => (text += part), isTTY }, {}), shown, names);
  return text;
}

test('a character stands with the last of the tokens that share it', () => {
  expect(shownTokens(row, names).map(({ text }) => text)).toEqual([
    'a',
    '<',
    'b',
    '>',
    '\n',
    '',
    '',
    '你',
    '\u0001',
    '!',
  ]);
  expect(shownTokens({ input_ids: [0xe4], labels: [-100] }, names)[0]!.text).toBe('\uFFFD');
});

test('rows in the terminal: brackets without colours, green with them', () => {
  expect(printed(false, row)).toBe('row 3  data/set.jsonl:4  10 tokens, 5 trained\na<b>↵\n⟦你\\x01!⟧\n\n');
  expect(printed(true, row)).toContain('\u001B[2ma\u001B[0m');
  expect(printed(true, row)).toContain('\u001B[32m你\u001B[0m');
  expect(printed(false, dropped)).toBe(
    'row 4  data/set.jsonl:5  0 tokens, 0 trained\ndropped: empty-response (output must not be empty)\n\n',
  );
});

test('rows as a page: every token with its facts, nothing of the data becomes markup', () => {
  const page =
    previewPageHead('<title>') + previewPageRow(row, names) + previewPageRow(dropped, names) + previewPageTail;
  expect(page).toContain('<i class="t" title="token 9: id 33, bytes 21, label 33, weight 0.5">!</i>');
  expect(page).toContain('<i title="token 1: id 60, bytes 3c, label -100, weight 0">&lt;</i>');
  expect(page).toContain('<title>&lt;title&gt;</title>');
  expect(page).toContain('<p class="dropped">dropped: empty-response (output must not be empty)</p>');
  expect(page).not.toMatch(/https?:|<script/);
  expect(escapeHtml(`<'">&`)).toBe('&lt;&#39;&quot;&gt;&amp;');
});
