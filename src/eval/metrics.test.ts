/** All metrics of answers against what the Python packages said of the same texts (`bench/eval/record_metrics.py`). */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { isExactMatch, wordF1 } from './answer-match.ts';
import { bleuTokenizerNames, type BleuTokenizerName } from './bleu-tokenizers.ts';
import { addChrfCounts, chrfCounts, chrfScore, chrfSignature } from './chrf.ts';
import { loadWordCutter, type WordCutter } from './jieba.ts';
import { labelMapper, labelReport, findLabels } from './labels.ts';
import { similarityScores, type SimilarityScores } from './llama-factory.ts';
import { bleuSignature, corpusBleu } from './sacrebleu.ts';

interface Row {
  readonly kind: string;
  readonly predict: string;
  readonly label: string;
  readonly words: readonly [readonly string[], readonly string[]];
  readonly similarity: SimilarityScores;
  readonly bleu: Readonly<Record<BleuTokenizerName, number>>;
  readonly chrf: number;
  readonly 'chrf++': number;
  readonly exact: number;
  readonly f1: number;
}
interface Corpus extends Pick<Row, 'bleu' | 'chrf' | 'chrf++'> {
  readonly rows: readonly number[];
  readonly signatures: Readonly<Record<BleuTokenizerName | 'chrf' | 'chrf++', string>>;
}
interface Classification {
  readonly labels: readonly string[];
  readonly truth: readonly string[];
  readonly predicted: readonly string[];
  readonly accuracy: number;
  readonly macro_f1: number;
  readonly precision: readonly number[];
  readonly recall: readonly number[];
  readonly f1: readonly number[];
  readonly support: readonly number[];
  readonly confusion: readonly (readonly number[])[];
}
const golden = JSON.parse(readFileSync(new URL('../../test/goldens/eval/metrics.json', import.meta.url), 'utf8')) as {
  readonly rows: readonly Row[];
  readonly corpora: readonly Corpus[];
  readonly classification: Classification[];
};

/** Rows whose value is not the recorded one, as text: all of them are seen at once. */
function differing(value: (row: Row) => number, recorded: (row: Row) => number): readonly string[] {
  return golden.rows
    .filter((row) => !(Math.abs(value(row) - recorded(row)) <= 1e-9 * Math.max(1, recorded(row))))
    .map((row) => `${JSON.stringify(row.predict)} | ${JSON.stringify(row.label)}: ${value(row)}, not ${recorded(row)}`);
}

let cut: WordCutter;
let similarities: ReadonlyMap<Row, SimilarityScores>;
beforeAll(async () => {
  cut = await loadWordCutter();
  similarities = new Map(golden.rows.map((row) => [row, similarityScores(row.predict, row.label, cut)]));
});

it('500 rows were recorded, 100 of them of Chinese, Latin and digits mixed', () => {
  expect(golden.rows).toHaveLength(500);
  expect(golden.rows.filter(({ kind }) => kind === 'mixed')).toHaveLength(100);
});

describe('words of Chinese text', () => {
  it('are those of jieba', () => {
    const wrong = golden.rows.flatMap(({ predict, label, words }) =>
      [
        [predict, words[0]],
        [label, words[1]],
      ].filter(([text, expected]) => cut(text as string).join('\0') !== (expected as readonly string[]).join('\0')),
    );
    expect(wrong).toEqual([]);
  });
  it('split what only looks like one word', () => {
    expect(cut('支持UTF-8和i7-2600')).toEqual(['支持', 'UTF', '-', '8', '和', 'i7', '-', '2600']);
    expect(cut('他来到了网易杭研大厦')).toEqual(['他', '来到', '了', '网易', '杭研', '大厦']);
    expect(cut('')).toEqual([]);
  });
});

describe('scores of rows', () => {
  it.each(['bleu-4', 'rouge-1', 'rouge-2', 'rouge-l'] as const)('%s is that of LLaMA-Factory', (name) => {
    expect(
      differing(
        (row) => similarities.get(row)![name],
        (row) => row.similarity[name],
      ),
    ).toEqual([]);
  });
  it.each(bleuTokenizerNames)('BLEU with tokenizer %s is that of sacrebleu', (tokenizer) => {
    const value = (row: Row): number => corpusBleu([row.predict], [row.label], { tokenizer, effectiveOrder: true });
    expect(differing(value, (row) => row.bleu[tokenizer])).toEqual([]);
  });
  it.each(['chrf', 'chrf++'] as const)('%s is that of sacrebleu', (name) => {
    const value = (row: Row): number => chrfScore(chrfCounts(row.predict, row.label, name === 'chrf++'));
    expect(differing(value, (row) => row[name])).toEqual([]);
  });
  it('exact match and F1 are those of SQuAD', () => {
    expect(
      differing(
        ({ predict, label }) => Number(isExactMatch(predict, label)),
        (row) => row.exact,
      ),
    ).toEqual([]);
    expect(
      differing(
        ({ predict, label }) => wordF1(predict, label),
        (row) => row.f1,
      ),
    ).toEqual([]);
  });
});

describe('scores of corpora', () => {
  it.each(golden.corpora.map((corpus, i) => [i, corpus] as const))('corpus %i', (_, corpus) => {
    const rows = corpus.rows.map((i) => golden.rows[i]!);
    const predictions = rows.map(({ predict }) => predict);
    const labels = rows.map(({ label }) => label);
    for (const tokenizer of bleuTokenizerNames) {
      const options = { tokenizer, effectiveOrder: false };
      expect(corpusBleu(predictions, labels, options)).toBeCloseTo(corpus.bleu[tokenizer], 9);
      expect(bleuSignature(options)).toBe(corpus.signatures[tokenizer]);
    }
    for (const name of ['chrf', 'chrf++'] as const) {
      const counts = rows.map(({ predict, label }) => chrfCounts(predict, label, name === 'chrf++'));
      expect(chrfScore(addChrfCounts(counts))).toBeCloseTo(corpus[name], 9);
      expect(chrfSignature(name === 'chrf++')).toBe(corpus.signatures[name]);
    }
  });
});

describe('labels', () => {
  it.each(golden.classification.map((task, i) => [i, task] as const))(
    'report %i is that of scikit-learn',
    (_, task) => {
      const pairs = task.truth.map((label, i) => {
        const predicted = task.predicted[i]!;
        return { label, predicted: predicted === 'unmapped' ? undefined : predicted };
      });
      const report = labelReport(task.labels, pairs);
      expect(report.accuracy).toBeCloseTo(task.accuracy, 12);
      expect(report.macroF1).toBeCloseTo(task.macro_f1, 12);
      expect(report.confusion).toEqual(task.confusion);
      expect(report.unmapped).toBe(task.predicted.filter((label) => label === 'unmapped').length);
      task.labels.forEach((label, i) => {
        const scores = report.perClass[label]!;
        expect(scores.precision).toBeCloseTo(task.precision[i]!, 12);
        expect(scores.recall).toBeCloseTo(task.recall[i]!, 12);
        expect(scores.f1).toBeCloseTo(task.f1[i]!, 12);
        expect(scores.support).toBe(task.support[i]);
      });
    },
  );

  const labels = ['正面', '负面', 'positive', 'not positive', 'A'];
  it.each([
    ['正面', '正面'],
    [' 正面。\n', '正面'],
    ['这条评论是负面的', '负面'],
    ['正面还是负面', undefined],
    ['Positive!', 'positive'],
    ['It is not positive.', 'not positive'],
    ['unpositive', undefined],
    ['A', 'A'],
    ['A cat', 'A'],
    ['Abc', undefined],
    ['答案：Ａ', 'A'],
    ['好评', '正面'],
    ['', undefined],
  ])('%j means %j', (answer, label) => {
    expect(labelMapper({ labels, aliases: { 正面: ['好评'] }, match: 'contains' })(answer)).toBe(label);
  });
  it('maps whole answers only where that is asked for', () => {
    const map = labelMapper({ labels, match: 'exact' });
    expect(['这是正面', ' 正面。'].map(map)).toEqual([undefined, '正面']);
  });
  it('finds labels in data, and none in free text', () => {
    expect(findLabels(['正面', '负面', '正面', '正面 ', '负面'])).toEqual(['正面', '负面']);
    expect(findLabels(['a', 'b', 'c', 'a'])).toBeUndefined();
    expect(findLabels(['yes', 'yes'])).toBeUndefined();
    expect(findLabels(['yes', 'yes', 'no', 'a text that is much too long to be a label'])).toBeUndefined();
  });
});
