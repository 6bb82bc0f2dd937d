import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { fillPrompt, judgePrompts, readJudgePrompts } from './judge-prompts.ts';

const folder = mkdtempSync(join(tmpdir(), 'fettle-prompts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fastChat = join(import.meta.dirname, '../../../../shared/data/eval/mt_bench/judge_prompts.jsonl');

test.skipIf(!existsSync(fastChat))(
  "the prompts of answers are FastChat's, byte for byte (needs ../shared/data)",
  async () => {
    const lines = readFileSync(fastChat, 'utf8').trimEnd().split('\n');
    const theirs = lines.map((line) => JSON.parse(line) as Record<string, string>);
    expect(theirs).toHaveLength(8);
    for (const { name, system_prompt: system, prompt_template: template } of theirs) {
      expect(judgePrompts[name as 'pair-v2'], name).toEqual({ system, template });
    }
    expect(await readJudgePrompts(fastChat)).toEqual(judgePrompts);
  },
);

test('places are filled once, and doubled braces are one', () => {
  expect(fillPrompt('{a} {{b}} {c} {a}', { a: '{c}', c: '$&' })).toBe('{c} {b} $& {c}');
  expect(fillPrompt('{other}', {})).toBe('{other}');
});

test('own prompts replace those of their name; what cannot be filled in is refused by its line', async () => {
  const file = join(folder, 'prompts.jsonl');
  const write = (...lines: object[]): void => writeFileSync(file, lines.map((l) => `${JSON.stringify(l)}\n`).join(''));
  write({ name: 'pair-v2', system_prompt: '', prompt_template: 'A {answer_a} B {answer_b}' }, { name: 'other' });
  const prompts = await readJudgePrompts(file);
  expect(prompts['pair-v2']).toEqual({ system: '', template: 'A {answer_a} B {answer_b}' });
  expect(prompts['single-v1']).toEqual(judgePrompts['single-v1']);
  write({ name: 'other' }, { name: 'pair-v2', system_prompt: '', prompt_template: '{answer_c}' });
  await expect(readJudgePrompts(file)).rejects.toThrow(
    `${file}:2: must hold only the places {question}, {answer_a}, {answer_b}, got {answer_c}`,
  );
  write({ name: 'pair-v2', prompt_template: 'x' });
  await expect(readJudgePrompts(file)).rejects.toThrow(`${file}:1: must hold system_prompt and prompt_template`);
});
