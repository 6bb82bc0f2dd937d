import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hasHeldOutWord, labels, sentimentRows } from '../scripts/demo/sentiment.ts';
import { talkRow } from '../scripts/demo/tasks.ts';
import { byteCharacters, trainBpe } from '../scripts/demo/train-bpe.ts';
import { demoFiles, TEST_ROWS, TRAIN_ROWS } from '../scripts/make-demo-data.ts';

const root = join(import.meta.dirname, '..');

describe('the demo data set', () => {
  const { train, test } = sentimentRows(TRAIN_ROWS, TEST_ROWS);

  it('is what its script makes, to the byte', async () => {
    for (const [name, content] of Object.entries(demoFiles())) {
      expect(await readFile(join(root, 'assets/demo/data', name), 'utf8'), name).toBe(content);
    }
  });
  it('is balanced, and no text occurs twice', () => {
    for (const [rows, count] of [
      [train, TRAIN_ROWS],
      [test, TEST_ROWS],
    ] as const) {
      for (const label of labels) {
        expect(rows.filter((row) => row.output === label)).toHaveLength(count / labels.length);
      }
    }
    expect(new Set([...train, ...test].map((row) => row.input)).size).toBe(TRAIN_ROWS + TEST_ROWS);
  });
  it('asks unseen rows for words that no training row holds', () => {
    expect(train.some((row) => hasHeldOutWord(row.input))).toBe(false);
    const judging = test.filter((row) => row.output !== 'neutral');
    expect(judging.filter((row) => hasHeldOutWord(row.input))).toHaveLength(judging.length / 2);
  });
  it('is not asked for in the small talks that the base model is made with', () => {
    const answers = Array.from({ length: 3000 }, (_, i) => talkRow(i)).filter((row) =>
      /feeling|neutral or|or neutral/.test(row.instruction),
    );
    expect(answers).toEqual([]);
  });
});

describe('trainBpe', () => {
  it('joins the most frequent pair first and prefers the smaller of two', () => {
    const { merges, pieces } = trainBpe(['low low low lower'], 260, 1);
    // "lo" and "ow" occur four times each; "lo" is the smaller. Then " lo" is not yet a piece, "low" is most frequent.
    expect(merges.slice(0, 2)).toEqual([
      ['l', 'o'],
      ['lo', 'w'],
    ]);
    expect(pieces).toHaveLength(260);
    expect(trainBpe(['a b'], 300, 5).merges).toEqual([]);
  });
  it('has a printable character for every byte', () => {
    const characters = byteCharacters();
    expect(new Set(characters).size).toBe(256);
    expect(characters.some((character) => /\s|\p{Cc}/u.test(character))).toBe(false);
    expect(characters[32]).toBe('Ġ');
  });
});
