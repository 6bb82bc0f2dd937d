/** `predict`, `compare` and `eval` as they are called: one JSON object on standard output, refusals with their place, Ctrl-C that keeps what is there. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, callWith, writeCharacterModel } from './command-line.fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'fettle-evaluation-cli-'));
const model = join(folder, 'model');
const rows = join(folder, 'rows.json');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => {
  process.env['FETTLE_CACHE'] = join(folder, 'cache');
  const list = Array.from({ length: 6 }, (_, i) => ({
    instruction: `Say ${i % 2}`,
    output: i % 2 === 0 ? 'yes' : 'no',
  }));
  writeFileSync(rows, JSON.stringify(list));
  return writeCharacterModel(model);
});
const settings = (output: string): string[] => [
  `model_name_or_path=${model}`,
  'template=alpaca',
  'max_new_tokens=5',
  'threads=1',
  `dataset=${rows}`,
  `output_dir=${join(folder, output)}`,
];
const parsed = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

describe('fettle predict', () => {
  test('prints the object of predict_results.json, and its words elsewhere', async () => {
    const { code, out, err } = await call('predict', ...settings('predicted'), '--json');
    expect(code).toBe(0);
    expect(parsed(out)).toEqual(parsed(readFileSync(join(folder, 'predicted/predict_results.json'), 'utf8')));
    expect(parsed(out)).toMatchObject({ predict_samples: 6, label_mapping: { labels: ['no', 'yes'], source: 'data' } });
    expect(err).toContain('generated_predictions.jsonl');
  });
  test('Ctrl-C keeps the answers and says how to go on', async () => {
    let press: (() => void) | undefined;
    const stopped = callWith(
      { onReady: (interrupt) => (press = interrupt) },
      'predict',
      ...settings('stopped'),
      'max_new_tokens=400',
      'per_device_eval_batch_size=1',
    );
    while (!readdirSync(folder).includes('stopped')) await new Promise((done) => setTimeout(done, 5));
    press!();
    const { code, out } = await stopped;
    expect(code).toBe(130);
    expect(out).toMatch(/go on with: fettle predict /);
    const again = await call('predict', ...settings('stopped'));
    expect(again.code).toBe(0);
    expect(readFileSync(join(folder, 'stopped/generated_predictions.jsonl'), 'utf8')).toBe(
      readFileSync(join(folder, 'predicted/generated_predictions.jsonl'), 'utf8'),
    );
  });
  test('without rows it names the key that is meant for them', async () => {
    const asked = [
      `model_name_or_path=${model}`,
      `adapter_name_or_path=${model}`,
      `output_dir=${join(folder, 'no-rows')}`,
    ];
    for (const command of ['predict', 'compare', 'study suppress']) {
      const { code, err } = await call(...command.split(' '), ...asked, 'suppress=[{text: a, coefficient: 0.5}]');
      expect({ code, err }).toEqual({ code: 1, err: `command line: fettle ${command} needs eval_dataset, got none\n` });
    }
  });
  test('is what do_predict asks for in a training configuration', async () => {
    const { code, out } = await call('train', ...settings('by-train'), 'do_predict=true', '--json');
    expect(code).toBe(0);
    expect(parsed(out)).toMatchObject({ predict_samples: 6 });
    const before = readFileSync(join(folder, 'by-train/generated_predictions.jsonl'), 'utf8');
    const trained = await call('train', ...settings('by-train'), 'do_train=true', 'do_predict=true', 'max_steps=1');
    expect(trained).toMatchObject({
      code: 1,
      err: expect.stringMatching(
        /do_predict after training would replace the answers that are there, got .*journal/,
      ) as string,
    });
    expect(readFileSync(join(folder, 'by-train/generated_predictions.jsonl'), 'utf8')).toBe(before);
    expect((await call('train', ...settings('x'), 'do_predict=true', 'predict_with_generate=false')).err).toMatch(
      /predict_with_generate/,
    );
  });
});

describe('fettle compare', () => {
  test('compares files of answers', async () => {
    const file = join(folder, 'predicted/generated_predictions.jsonl');
    const systems = [`systems.one.answers=${file}`, `systems.two.answers=${file}`];
    const { code, out } = await call('compare', ...systems, `output_dir=${join(folder, 'compared')}`, '--json');
    expect(code).toBe(0);
    const { differences } = parsed(out) as { differences: { verdict: string; difference: number }[] };
    expect(new Set(differences.map(({ verdict }) => verdict))).toEqual(new Set(['not told apart']));
    expect(readdirSync(join(folder, 'compared'))).toEqual(['comparison.html', 'comparison.json', 'comparison.jsonl']);
  });
  test('refuses a single system', async () => {
    const { code, err } = await call('compare', ...settings('single'));
    expect({ code, err }).toMatchObject({ code: 1, err: expect.stringMatching(/adapter_name_or_path/) as string });
  });
});

describe('fettle eval', () => {
  test('prints one object with task, metric, value, ci and n', async () => {
    const file = join(folder, 'text.txt');
    writeFileSync(file, 'A text of some words.\nAnd a second line of it.\n');
    const asked = [`model_name_or_path=${model}`, 'task=perplexity', `task_dir=${file}`, 'perplexity_window=16'];
    const { code, out, err } = await call('eval', ...asked, '--json');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(parsed(out)).toMatchObject({ task: 'perplexity', metric: 'perplexity', n: 47, settings: { window: 16 } });
    expect(parsed(out)['ci']).toHaveLength(2);
    const people = await call('eval', ...asked);
    expect(people.out).toMatch(/perplexity perplexity +[\d.]+ {2}\(95 %: .*window 16, stride 8/s);
  });
  test('names what there is where a task is unknown', async () => {
    const { code, err } = await call('eval', `model_name_or_path=${model}`, 'task=gsm8k');
    expect(code).toBe(1);
    expect(err).toContain('command line: task=gsm8k');
    expect(err).toContain('mmlu');
  });
});
