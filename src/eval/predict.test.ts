/** Predictions over the demo data: files, numbers, and going on after an end at any moment. */
import { appendFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../config/index.ts';
import type { AskEvent } from './ask-rows.ts';
import { predict, type PredictSettings } from './predict.ts';

const demo = join(import.meta.dirname, '../../assets/demo');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-predict-'));
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

function settings(name: string, more: Record<string, unknown> = {}): PredictSettings & { output_dir: string } {
  const { config } = parseConfig(
    JSON.stringify({
      model_name_or_path: join(demo, 'model'),
      dataset_dir: join(demo, 'data'),
      dataset: 'sentiment_test',
      max_samples: 12,
      max_new_tokens: 4,
      threads: 1,
      seed: 3,
      ...more,
    }),
    'predict.json',
  );
  return { ...config, output_dir: join(folder, name) };
}

const results = async (name: string): Promise<Record<string, unknown>> =>
  JSON.parse(await text(name, 'predict_results.json')) as Record<string, unknown>;
const text = (name: string, file: string): Promise<string> => readFile(join(folder, name, file), 'utf8');

describe('predict', () => {
  it('writes answers, numbers and the picture of the labels', async () => {
    const end = await predict(settings('whole', { labels: ['positive', 'negative', 'mixed', 'neutral'] }));
    expect(end).toMatchObject({ state: 'done', done: 12, total: 12 });
    const lines = (await text('whole', 'generated_predictions.jsonl')).trimEnd().split('\n');
    const rows = lines.map((line) => JSON.parse(line) as Record<string, string>);
    expect(rows).toHaveLength(12);
    for (const row of rows) expect(Object.keys(row)).toEqual(['prompt', 'predict', 'label']);
    expect(rows[0]!['prompt']).toMatch(/^<\|im_start\|>user\n.*<\|im_start\|>assistant\n$/s);
    const results = JSON.parse(await text('whole', 'predict_results.json')) as Record<string, unknown>;
    expect(results).toEqual(end.results);
    for (const name of ['bleu-4', 'rouge-1', 'rouge-2', 'rouge-l', 'sacrebleu', 'chrf']) {
      expect(results[`predict_${name}`]).toEqual(expect.any(Number));
    }
    const { confusion, per_class } = results as Record<string, Record<string, Record<string, number>>>;
    const counts = Object.values(confusion!).flatMap((row) => Object.values(row));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(12);
    const right = Object.entries(confusion!).reduce((sum, [label, row]) => sum + row[label]!, 0);
    expect(results['accuracy']).toBe(right / 12);
    expect(Object.keys(per_class!)).toEqual(['positive', 'negative', 'mixed', 'neutral']);
    expect(await readdir(join(folder, 'whole'))).toEqual([
      'all_results.json',
      'confusion_matrix.png',
      'confusion_matrix.svg',
      'generated_predictions.jsonl',
      'predict_results.json',
      'predictions.journal.jsonl',
    ]);
  });

  it('goes on with the rows that are missing, at another batch size, a torn line notwithstanding', async () => {
    const stop = new AbortController();
    const first = await predict(settings('parts', { per_device_eval_batch_size: 2 }), {
      signal: stop.signal,
      onEvent: (event) => {
        if (event.type === 'progress' && event.done >= 5) stop.abort();
      },
    });
    expect(first.state).toBe('stopped');
    expect(first.done).toBeLessThan(12);
    const journal = join(folder, 'parts', 'predictions.journal.jsonl');
    await appendFile(journal, '{"row":11,"predi');
    const events: AskEvent[] = [];
    const second = await predict(settings('parts', { per_device_eval_batch_size: 5 }), {
      onEvent: (event) => events.push(event),
    });
    expect(second.state).toBe('done');
    expect(events).toContainEqual({ type: 'resuming', done: first.done, total: 12 });
    expect(events.filter(({ type }) => type === 'progress')).toHaveLength(12 - first.done);
    expect(await text('parts', 'generated_predictions.jsonl')).toBe(await text('whole', 'generated_predictions.jsonl'));
  });

  it('scores again without asking where the answers are all there', async () => {
    const before = await text('whole', 'generated_predictions.jsonl');
    const time = (await results('whole'))['predict_runtime'];
    const events: AskEvent[] = [];
    const end = await predict(settings('whole', { labels: ['positive', 'negative'], threads: 2 }), {
      onEvent: (event) => events.push(event),
    });
    expect(events.filter(({ type }) => type !== 'notice')).toEqual([{ type: 'resuming', done: 12, total: 12 }]);
    expect(end.scores?.labels?.labels).toEqual(['positive', 'negative']);
    expect(await text('whole', 'generated_predictions.jsonl')).toBe(before);
    expect(await results('whole')).toMatchObject({ predict_samples: 12, predict_runtime: time });
  });

  it('replaces no answers of something else, unless asked to', async () => {
    const before = await Promise.all((await readdir(join(folder, 'parts'))).map((file) => text('parts', file)));
    const dir = join(folder, 'parts');
    const remedy = 'choose another output_dir, or set overwrite_output_dir: true to replace what is there';
    await expect(predict(settings('parts', { seed: 4 }))).rejects.toThrow(
      `${dir}: holds 12 answers for which "seed" was 3, got 4. Give it the old value to go on, ${remedy}`,
    );
    await expect(predict(settings('parts', { max_samples: 2 }))).rejects.toThrow('"max_samples" was 12, got 2');
    expect(await Promise.all((await readdir(dir)).map((file) => text('parts', file)))).toEqual(before);

    const more = { max_samples: 2, overwrite_output_dir: true };
    expect(await predict(settings('parts', more))).toMatchObject({ state: 'done', total: 2 });
    const whole = await text('whole', 'generated_predictions.jsonl');
    expect(await text('parts', 'generated_predictions.jsonl')).toBe(`${whole.split('\n').slice(0, 2).join('\n')}\n`);
  });

  it('replaces no answers of which nothing is known', async () => {
    await rm(join(folder, 'parts/predictions.journal.jsonl'));
    await expect(predict(settings('parts'))).rejects.toMatchObject({
      code: 'answers-unknown',
      fields: { file: join(folder, 'parts/generated_predictions.jsonl') },
    });
  });

  it('answers the rows that training sets aside', async () => {
    const end = await predict(settings('validation', { val_size: 3 }));
    expect(end.total).toBe(3);
    const lines = (await text('validation', 'generated_predictions.jsonl')).trimEnd().split('\n');
    const prompts = (await text('whole', 'generated_predictions.jsonl'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { prompt: string }).prompt);
    for (const line of lines) expect(prompts).toContain((JSON.parse(line) as { prompt: string }).prompt);
  });

  it('shortens long prompts inside their content where the policy says so', async () => {
    const events: AskEvent[] = [];
    const end = await predict(settings('short', { max_prompt_length: 40, max_samples: 2 }), {
      onEvent: (event) => events.push(event),
    });
    expect(end.total).toBe(2);
    expect(events.some((event) => event.type === 'notice' && event.text.includes('keep-response'))).toBe(true);
    await expect(predict(settings('long', { cutoff_len: 8, overlong: 'drop' }))).rejects.toMatchObject({
      code: 'no-usable-row',
    });
  });
});
