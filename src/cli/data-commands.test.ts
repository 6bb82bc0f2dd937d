import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, writeCharacterTokenizer } from './command-line.fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'fettle-data-cli-'));
const model = join(folder, 'model');
const data = join(folder, 'rows.jsonl');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(() => {
  writeCharacterTokenizer(model);
  const rows = [
    { instruction: 'Say yes', output: 'yes' },
    { instruction: 'Say no', output: '' },
    { instruction: 'Say long', output: 'long '.repeat(300) },
  ];
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
});

const settings = (): string[] => [
  `model_name_or_path=${model}`,
  `dataset=${data}`,
  'template=alpaca',
  'cutoff_len=400',
];

describe('data preview', () => {
  test('shows what is trained in brackets, and why a row is dropped', async () => {
    const { code, out } = await call('data', 'preview', ...settings());
    expect(code).toBe(0);
    expect(out).toContain(`row 0  ${data}:1  `);
    expect(out).toContain('⟦yes</s>⟧');
    expect(out).toContain('dropped: empty-response');
    expect(out).toContain('dropped: over-length');
  });

  test('prints one object a line with --json, for one row or all', async () => {
    const one = await call('data', 'preview', ...settings(), '--row', '0', '--json');
    const row = JSON.parse(one.out) as { input_ids: number[]; labels: number[]; row: number };
    expect(row.row).toBe(0);
    expect(row.labels.at(-1)).toBe(0);
    expect(row.labels.filter((label) => label !== -100)).toEqual(row.input_ids.slice(-4));
    const all = await call('data', 'preview', ...settings(), '--all', '--json');
    expect(
      all.out
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { dropped?: string }).dropped),
    ).toEqual([undefined, 'empty-response', 'over-length']);
    expect(await call('data', 'preview', ...settings(), '--row', '9')).toMatchObject({
      code: 1,
      err: 'row 9: must be a row of the data sets, got a number beyond the last\n',
    });
    expect((await call('data', 'preview', ...settings(), '--row', 'x')).code).toBe(2);
  });

  test('writes a page', async () => {
    const page = join(folder, 'page.html');
    expect((await call('data', 'preview', ...settings(), '--html', page)).code).toBe(0);
    expect(readFileSync(page, 'utf8')).toContain('<i class="t"');
  });
});

describe('data plan', () => {
  test('refuses rows of a wrong form, or drops and counts them', async () => {
    const refused = await call('data', 'plan', ...settings());
    expect(refused.code).toBe(1);
    expect(refused.err).toContain(`${data}:2`);
    const { code, out, err } = await call('data', 'plan', ...settings(), 'bad_rows=drop', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      rows_read: 3,
      rows_valid: 1,
      rows_dropped: { 'empty-response': 1, 'over-length': 1 },
      trained_tokens: 4,
      steps_per_epoch: 1,
      total_steps: 3,
    });
    expect(err).toContain('2 of 3 rows dropped');
    expect((await call('data', 'plan', ...settings(), 'bad_rows=drop')).out).toMatch(/steps in all +3\n/);
  });

  test('a missing template or model is said before anything is read', async () => {
    const { code, err } = await call('data', 'plan', `model_name_or_path=${model}`, `dataset=${data}`);
    expect(code).toBe(1);
    expect(err).toContain('template');
    expect(await call('data', 'plan')).toMatchObject({
      code: 1,
      err: 'command line: fettle data plan needs model_name_or_path, got none\ncommand line: fettle data plan needs dataset, got none\n',
    });
  });
});

describe('data check', () => {
  test('tells every finding with its place and ends with 1 where there is an error', async () => {
    const { code, out } = await call('data', 'check', ...settings(), '--json');
    expect(code).toBe(1);
    const { findings } = JSON.parse(out) as {
      findings: { rule: string; row: number; line: number; severity: string }[];
    };
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([
      expect.objectContaining({ rule: 'empty-response', severity: 'error', row: 1, line: 2, pointer: '/output' }),
      expect.objectContaining({ rule: 'over-length', severity: 'error', row: 2, line: 3 }),
    ]);
    const people = await call('data', 'check', ...settings());
    expect(people.out).toContain(`${data}:2: `);
    expect(people.out).toMatch(/\n2 errors, \d+ warnings\n$/);
  });
});
