import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../formats/index.ts';
import { modelLength, withModelLength } from './model-length.ts';
import type { Notice } from './notice.ts';

describe('modelLength', () => {
  it.each<[string, JsonObject, number | undefined]>([
    ['positions of GPT-2', { model_type: 'gpt2', n_positions: 1024, n_ctx: 1024 }, 1024],
    ['max_position_embeddings', { model_type: 'llama', max_position_embeddings: 4096 }, 4096],
    ['chatglm', { model_type: 'chatglm', seq_length: 32_768 }, 32_768],
    ['ALiBi', { model_type: 'falcon', max_position_embeddings: 2048, alibi: true }, undefined],
    ['nothing said', { model_type: 'llama' }, undefined],
    ['linear scaling', { max_position_embeddings: 2048, rope_scaling: { type: 'linear', factor: 4 } }, 8192],
    [
      'Llama 3.1, whose number is what is reached',
      {
        max_position_embeddings: 131_072,
        rope_scaling: { rope_type: 'llama3', factor: 8, original_max_position_embeddings: 8192 },
      },
      131_072,
    ],
    [
      'YaRN as Qwen writes it',
      {
        max_position_embeddings: 32_768,
        rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 32_768 },
      },
      131_072,
    ],
    [
      'transformers 5',
      { max_position_embeddings: 4096, rope_parameters: { rope_type: 'default', rope_theta: 1e4 } },
      4096,
    ],
  ])('%s', (_, config, tokens) => {
    expect(modelLength(config)?.tokens).toBe(tokens);
  });
});

describe('withModelLength', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fettle-length-'));
  });
  afterAll(async () => rm(folder, { recursive: true }));
  const fit = async (config: JsonObject, cutoff: number, isGiven: boolean) => {
    await writeFile(join(folder, 'config.json'), JSON.stringify(config));
    const notices: Notice[] = [];
    const settings = { model_name_or_path: folder, cutoff_len: cutoff };
    const fitted = await withModelLength(settings, isGiven, notices);
    return [fitted.cutoff_len, ...notices.map(({ text }) => text.replaceAll(folder, 'DIR'))];
  };
  const gpt2 = { model_type: 'gpt2', n_positions: 1024 };

  it("takes the model's length where none is given and it is shorter", async () => {
    expect(await fit(gpt2, 2048, false)).toEqual([
      1024,
      "cutoff_len: 1024, the model's longest sequence (n_positions in DIR/config.json)",
    ]);
    expect(await fit({ max_position_embeddings: 4096 }, 2048, false)).toEqual([2048]);
  });

  it('refuses positions that a learned table lacks, and warns of those that were never trained', async () => {
    await expect(fit(gpt2, 1025, true)).rejects.toThrow(
      `cutoff_len: must be at most the model's 1024 learned positions (n_positions in ${join(folder, 'config.json')}), got 1025. Lower it, or leave it out`,
    );
    expect(await fit({ model_type: 'llama', max_position_embeddings: 512 }, 600, true)).toEqual([
      600,
      'cutoff_len: 600 is longer than the 512 tokens that the model knows (max_position_embeddings in DIR/config.json): it has never seen such positions. Lower it, or write rope_scaling into config.json',
    ]);
  });
});
