/** Comparisons: what is said of a difference, the page, and answers that do not belong together. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../config/index.ts';
import { compare, type CompareSettings } from './compare.ts';
import type { ScoredAnswer } from './row-metrics.ts';
import { markDifferences } from './text-difference.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-compare-'));
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

const label = (row: number): string => (row % 2 === 0 ? '正面' : '负面');
/** Answers of which those of rows from `wrongFrom` on are wrong. */
const answers = (wrongFrom: number): ScoredAnswer[] =>
  Array.from({ length: 40 }, (_, row) => ({
    prompt: `<b>${row}</b>`,
    predict: row < wrongFrom ? `答案：${label(row)}` : label(row + 1),
    label: label(row),
  }));
async function answerFile(name: string, rows: readonly ScoredAnswer[]): Promise<string> {
  const file = join(folder, `${name}.jsonl`);
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return file;
}
function settings(more: Record<string, unknown>): CompareSettings {
  return parseConfig(JSON.stringify({ output_dir: join(folder, 'out'), ...more }), 'compare.json').config;
}

describe('compare', () => {
  it('says better only where the interval of the difference does not hold 0', async () => {
    const end = await compare(
      settings({
        systems: {
          first: { answers: await answerFile('first', answers(10)) },
          second: { answers: await answerFile('second', answers(38)) },
          alike: { answers: await answerFile('alike', answers(11)) },
        },
      }),
    );
    expect(end.state).toBe('done');
    const accuracy = end.comparison!.differences.filter(({ metric }) => metric === 'accuracy');
    expect(accuracy).toMatchObject([
      { system: 'second', difference: 28 / 40, better: 28, worse: 0, same: 12, verdict: 'better' },
      { system: 'alike', difference: 1 / 40, better: 1, worse: 0, same: 39, verdict: 'not told apart' },
    ]);
    const rows = (await readFile(join(folder, 'out/comparison.jsonl'), 'utf8')).trimEnd().split('\n');
    expect(rows).toHaveLength(40);
    expect(JSON.parse(rows[39]!)).toMatchObject({
      row: 39,
      label: '负面',
      answers: { first: { predict: '正面', predicted_label: '正面' }, second: { predicted_label: '正面' } },
    });
    const written = JSON.parse(await readFile(join(folder, 'out/comparison.json'), 'utf8')) as object;
    expect(written).toEqual(end.results);
    expect(end.results!['systems']).toMatchObject([
      { name: 'first', accuracy: 0.25 },
      { name: 'second', accuracy: 0.95 },
      { name: 'alike', accuracy: 11 / 40 },
    ]);
  });

  it('writes a page that stands alone', async () => {
    const page = await readFile(join(folder, 'out/comparison.html'), 'utf8');
    expect(page).not.toMatch(/<(?:script|link|img|iframe)\b|(?:src|href)=|url\(/);
    expect(page).toContain('&lt;b&gt;0&lt;/b&gt;');
    expect(page.match(/<article/g)).toHaveLength(40);
    expect(page.match(/<article class="changed is-better"/g)).toHaveLength(28);
    expect(page.match(/<svg/g)!.length).toBe(4);
  });

  it('refuses answers to other rows, and a single system', async () => {
    const first = { answers: await answerFile('whole', answers(5)) };
    const cut = { answers: await answerFile('cut', answers(5).slice(1)) };
    const systems = { first, cut };
    await expect(compare(settings({ systems }))).rejects.toMatchObject({ code: 'compare-rows' });
    await writeFile(join(folder, 'bad.jsonl'), '{"predict":"x","label":"y"}\n{"predict":1}\n');
    const bad = { first, bad: { answers: join(folder, 'bad.jsonl') } };
    await expect(compare(settings({ systems: bad }))).rejects.toMatchObject({
      code: 'compare-answers',
      fields: { where: `${join(folder, 'bad.jsonl')}:2` },
    });
    await expect(compare(settings({ model_name_or_path: 'm' }))).rejects.toMatchObject({ code: 'compare-systems' });
  });
});

describe('markDifferences', () => {
  const show = (text: string, other: string): string =>
    markDifferences(text, other)
      .map(({ text: part, differs }) => (differs ? `[${part}]` : part))
      .join('');
  it.each([
    ['', 'x', ''],
    ['same text', 'same text', 'same text'],
    ['the red cat sat', 'the cat sat', 'the [red ]cat sat'],
    ['今天天气很好', '今天天气不错', '今天天气[很好]'],
    ['a b', '', '[a b]'],
  ])('%j beside %j', (text, other, expected) => {
    expect(show(text, other)).toBe(expected);
  });
});
