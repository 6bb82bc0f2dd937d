/** The classification task of the quickstart: which feeling has a small review? Rows in the Alpaca format. */
import { hashKey } from '../../src/util/index.ts';
import { oneSided, plain, twoSided, Writer } from './grammar.ts';
import { heldOut } from './words.ts';

export interface AlpacaRow {
  readonly instruction: string;
  readonly input: string;
  readonly output: string;
}

export const labels = ['positive', 'negative', 'mixed', 'neutral'] as const;
export type Label = (typeof labels)[number];

export const instruction =
  'Which feeling does this review have? Answer with one word: positive, negative, mixed or neutral.';

function text(writer: Writer, label: Label): string {
  const domain = writer.domain();
  if (label === 'neutral') return plain(writer, domain, 2 + writer.random.nextInt(2)).join(' ');
  if (label === 'mixed') return twoSided(writer, domain, false).join(' ');
  const withEnd = writer.chance(0.25);
  return oneSided(writer, domain, label === 'positive' ? 'good' : 'bad', 1 + writer.random.nextInt(3), withEnd).join(
    ' ',
  );
}

/** Whether a text holds a word that the training rows never use. */
export function hasHeldOutWord(words: string): boolean {
  return words.split(/[^a-z]+/).some((word) => heldOut.has(word));
}

/**
 * Makes the training and the unseen rows: balanced, in random order, no text twice. The training rows use no held-out
 * adjective; of the unseen rows that judge, every second one holds at least one.
 */
export function sentimentRows(trainCount: number, testCount: number): { train: AlpacaRow[]; test: AlpacaRow[] } {
  const seen = new Set<string>();
  const make = (part: string, count: number): AlpacaRow[] => {
    const rows: { order: number; row: AlpacaRow }[] = [];
    for (let i = 0; i < count; i++) {
      const label = labels[i % labels.length] ?? 'neutral';
      const wantsHeldOut = part === 'test' && label !== 'neutral' && Math.floor(i / labels.length) % 2 === 0;
      for (let attempt = 0; ; attempt++) {
        const key = hashKey('fettle demo', 'sentiment', part, i, attempt);
        const input = text(new Writer(key, part === 'train' ? 'common' : 'all'), label);
        if (seen.has(input) || hasHeldOutWord(input) !== wantsHeldOut) continue;
        seen.add(input);
        rows.push({ order: key, row: { instruction, input, output: label } });
        break;
      }
    }
    return rows.sort((a, b) => a.order - b.order).map(({ row }) => row);
  };
  return { train: make('train', trainCount), test: make('test', testCount) };
}
