import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ChatTemplate, loadTemplate, type TemplateTokens } from '../template/index.ts';
import type { DataSettings } from './settings.ts';
import { requireModelTemplate, templateDifference } from './template-match.ts';

const tokens: TemplateTokens = { addsBos: false, specialIds: new Set(), tokenText: () => '', eosToken: '<|im_end|>' };
const chatml = loadTemplate({ name: 'chatml', tokens });
const own = (source: string): ChatTemplate => loadTemplate({ tokens, chatTemplate: source });
const turn = "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}";
const same = own(`{% for m in messages %}${turn}{% endfor %}`);
const shorter = own(`{% for m in messages %}${turn.replace('<|im_end|>\\n', '<|im_end|>')}{% endfor %}`);
const messages = [
  { role: 'user', content: 'é?' },
  { role: 'assistant', content: 'Yes.' },
] as const;

describe('templateDifference', () => {
  it('finds none in equal renderings, nor in white space behind the last answer', () => {
    expect(templateDifference(chatml, same, { messages })).toBeUndefined();
    const last = own(`{% for m in messages %}${turn}{% endfor %}{{ '\\n' }}`);
    expect(templateDifference(chatml, last, { messages })).toBeUndefined();
  });

  it('names turn and byte of the first one', () => {
    expect(templateDifference(chatml, shorter, { messages })).toEqual({
      turn: 0,
      byte: 30,
      ours: '\n<|im_start|>assista',
      theirs: '<|im_start|>assistan',
    });
    const late = own(
      `{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content']|replace('.', '!') + '<|im_end|>\\n' }}{% endfor %}`,
    );
    expect(templateDifference(chatml, late, { messages })).toMatchObject({ turn: 1, ours: '.<|im_end|>\n' });
  });
});

describe('requireModelTemplate', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fettle-match-'));
    const rows = Array.from({ length: 100 }, (_, row) => ({ instruction: `Say ${row}.`, output: `${row}` }));
    await writeFile(join(folder, 'data.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  });
  afterAll(async () => rm(folder, { recursive: true }));
  const check = (modelTemplate: ChatTemplate | undefined, mismatch: 'error' | 'allow' = 'error'): Promise<string> => {
    const settings = { stage: 'sft', dataset: ['data.jsonl'], dataset_dir: folder, data_seed: 1 };
    const all = { ...settings, template_mismatch: mismatch } as unknown as DataSettings & {
      template_mismatch: 'error';
    };
    return requireModelTemplate(all, { template: chatml, modelTemplate }).then(
      () => 'accepted',
      (error: unknown) => (error as Error).message.replaceAll(folder, 'DIR'),
    );
  };

  it("refuses a template that differs from the model's own, with place, byte and remedy", async () => {
    expect(await check(shorter)).toBe(
      'DIR/data.jsonl:1: messages[0]: template chatml must render as the model\'s own chat template does, got "\\n<|im_start|>assista" instead of "<|im_start|>assistan" at byte 33. Leave template out to train with the model\'s own, or set template_mismatch: allow; fettle data proof shows all rows',
    );
  });

  it('accepts an equal one, a model without one, and what is allowed', async () => {
    expect(await check(same)).toBe('accepted');
    expect(await check(undefined)).toBe('accepted');
    expect(await check(shorter, 'allow')).toBe('accepted');
  });
});
