import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newTokenIds, openTextTools, type TextSettings } from './text-tools.ts';

const demo = join(import.meta.dirname, '../../assets/demo/model');
const settings: TextSettings = {
  model_name_or_path: demo,
  adapter_name_or_path: [],
  history_thinking: 'strip',
  train_on_prompt: false,
  mask_history: false,
  stage: 'sft',
  cutoff_len: 512,
};
const mine = { user: 'Q: {content}\n', assistant: 'A: {content}' };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-text-'));
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) await copyFile(join(demo, name), join(folder, name));
});
afterAll(async () => rm(folder, { recursive: true }));

describe('the template that a named one is compared with', () => {
  it("is the model's own, or what was saved with its weights; none where nothing is named", async () => {
    const named = await openTextTools({ ...settings, template: mine });
    expect(named.template?.name).toBe('own');
    expect(named.modelTemplate?.name).toBe('tokenizer');
    expect((await openTextTools(settings)).modelTemplate).toBeUndefined();

    await named.save(folder);
    const saved = await openTextTools({ ...settings, model_name_or_path: folder, template: mine });
    expect(saved.modelTemplate?.hash).toBe(named.template?.hash);
    const unnamed = await openTextTools({ ...settings, model_name_or_path: folder });
    expect(unnamed.template?.hash).toBe(named.template?.hash);
    expect(unnamed.modelTemplate).toBeUndefined();
  });
});

describe('ids that need rows', () => {
  const ids = async (changes: object, rows = 1536): Promise<readonly number[]> =>
    newTokenIds({ ...settings, resize_vocab: false, ...changes }, rows);
  it('are those of added tokens, and with resize_vocab all beyond the rows of the model', async () => {
    expect(await ids({})).toEqual([]);
    expect(await ids({ add_tokens: ['<a>'], add_special_tokens: ['<b>', '<|im_end|>'] })).toEqual([1536, 1537]);
    // Rows that a model has beyond its tokenizer's tokens are trained too, but none is added.
    expect(await ids({ add_tokens: ['<a>'] }, 1600)).toEqual([1536]);
    expect(await ids({}, 1534)).toEqual([]);
    expect(await ids({ resize_vocab: true }, 1534)).toEqual([1534, 1535]);
  });
});
