import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseConfig } from '../config/index.ts';
import { studyTexts } from '../messages/eval.ts';
import { runSuppressStudy, studySuppression } from './suppress-study.ts';

const form = { aspects: ['Good', 'Bad'], emptyItem: '<No related terms>' };
const review = (good: number, bad: number): string => {
  const items = (count: number): string =>
    count === 0 ? '<No related terms>' : Array.from({ length: count }, (_, i) => `- point ${i}`).join('\n');
  return `[Good]\n${items(good)}\n\n[Bad]\n${items(bad)}`;
};

it('means and variances of items by heading, an empty item counting as none', () => {
  const study = studySuppression(
    [review(0, 2), review(4, 2), review(0, 2), review(4, 2)],
    [review(2, 2), review(2, 2), review(1, 2), review(3, 2)],
    form,
    [],
    1,
  );
  expect(study.plain.sections['Good']).toMatchObject({ mean: 2, variance: 16 / 3, empty: 0.5 });
  expect(study.suppressed.sections['Good']).toMatchObject({ mean: 2, variance: 2 / 3, empty: 0 });
  expect(study.plain.sections['Bad']).toMatchObject({ mean: 2, variance: 0 });
  expect(study.plain.total.mean).toBe(4);
  expect(study.variance_ratio).toBeCloseTo(1 / 8, 12);
  expect(study.n).toBe(4);
});

it('says so where the number of items never varies without suppression', () => {
  const same = [review(1, 2), review(1, 2)];
  const { variance_ratio, variance_ratio_ci, n } = studySuppression(same, same, form, [], 1);
  expect(studyTexts.ratio(variance_ratio, variance_ratio_ci, n)).toMatch(/: cannot be told from 2 prompts, since/u);
});

it('answers with the same random numbers, and leaves numbers, answers and pictures', async () => {
  const demo = join(import.meta.dirname, '../../assets/demo');
  const folder = await mkdtemp(join(tmpdir(), 'fettle-study-'));
  try {
    const { config } = parseConfig(
      JSON.stringify({
        model_name_or_path: join(demo, 'model'),
        dataset_dir: join(demo, 'data'),
        dataset: 'sentiment_test',
        max_samples: 4,
        max_new_tokens: 12,
        threads: 1,
        suppress: [{ text: 'e', coefficient: 0 }],
      }),
      'study.json',
    );
    const end = await runSuppressStudy({ ...config, output_dir: folder });
    expect(end.state).toBe('done');
    const lines = (await readFile(join(folder, 'suppress_study.jsonl'), 'utf8')).trimEnd().split('\n');
    const rows = lines.map((line) => JSON.parse(line) as { plain: string; suppressed: string });
    expect(rows).toHaveLength(4);
    for (const { suppressed } of rows) expect(suppressed).not.toContain('e');
    expect(rows.some(({ plain }) => plain.includes('e'))).toBe(true);
    const files = await readdir(folder);
    for (const name of ['suppress_mean.png', 'suppress_variance.svg', 'suppress_study.json'])
      expect(files).toContain(name);
    expect(files.some((name) => name.includes('partial'))).toBe(false);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
