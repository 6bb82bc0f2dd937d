import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  adapterParameters,
  openPeftAdapter,
  readPeftAdapter,
  trainedValues,
  writePeftAdapter,
} from './peft-adapter.ts';
import { newPeftConfig, parsePeftConfig, rankOf, scaleOf } from './peft-config.ts';
import type { JsonObject } from './json-text.ts';
import { openSafetensors, readTensor } from './safetensors.ts';
import { tensorFromEntry, writeSafetensors } from './safetensors-writer.ts';

// Recorded by bench/adapters/record.py with PEFT 0.21.2.
const goldens = fileURLToPath(new URL('../../test/goldens/adapters/', import.meta.url));
const kto = fileURLToPath(new URL('../../../shared/data/adapters/gpt2-kto-hh-lora/', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-peft-'));
});
afterAll(() => rm(folder, { recursive: true }));

const cases = [
  'plain',
  'rslora-patterns',
  'fan-in-fan-out',
  'head-and-embedding-pairs',
  'saved-head-tied',
  'saved-embedding-tied',
  'saved-both-kept-tied',
  'token-rows-tied',
  'token-rows-both',
  'f16',
];

describe('adapters that PEFT wrote', () => {
  it.each(cases)('%s: read, written and read again, the weights byte for byte', async (name) => {
    const source = join(goldens, name, 'adapter');
    const target = join(folder, name);
    const adapter = await readPeftAdapter(source);
    await writePeftAdapter(target, adapter.config, adapterParameters(adapter));
    const [before, after] = await Promise.all(
      [source, target].map((path) => readFile(join(path, 'adapter_model.safetensors'))),
    );
    expect(after!.equals(before!)).toBe(true);
    const [configBefore, configAfter] = await Promise.all(
      [source, target].map((path) => readFile(join(path, 'adapter_config.json'), 'utf8')),
    );
    expect(JSON.parse(configAfter!)).toEqual(JSON.parse(configBefore!));
    expect(Object.keys(JSON.parse(configAfter!) as object)).toEqual(Object.keys(JSON.parse(configBefore!) as object));
  });

  it('stores as f32 what PEFT left in bf16', async () => {
    const source = await openPeftAdapter(join(goldens, 'bf16/adapter'));
    const head = source.savedModules.get('lm_head.weight')!;
    expect(head.dtype).toBe('BF16');
    const adapter = await readPeftAdapter(source.folder);
    const target = join(folder, 'bf16');
    await writePeftAdapter(target, adapter.config, adapterParameters(adapter));
    const written = (await openPeftAdapter(target)).savedModules.get('lm_head.weight')!;
    expect(written.dtype).toBe('F32');
    expect(await readTensor(written)).toEqual(await readTensor(head));
  });

  it('gives typed parts', async () => {
    const plain = await readPeftAdapter(join(goldens, 'plain/adapter'));
    expect([...plain.loraPairs.keys()]).toEqual([
      'model.layers.0.mlp.down_proj',
      'model.layers.0.self_attn.q_proj',
      'model.layers.0.self_attn.v_proj',
    ]);
    const { a, b, ...pair } = plain.loraPairs.get('model.layers.0.mlp.down_proj')!;
    expect(pair).toEqual({ kind: 'linear', rank: 4, inFeatures: 12, outFeatures: 8 });
    expect([a.shape, b.shape, a.values.length]).toEqual([[4, 12], [8, 4], 48]);
    expect(scaleOf(plain.config, 'model.layers.0.mlp.down_proj')).toBe(1.5);

    const patterns = await readPeftAdapter(join(goldens, 'rslora-patterns/adapter'));
    expect(rankOf(patterns.config, 'model.layers.0.self_attn.k_proj')).toBe(1);
    expect(scaleOf(patterns.config, 'model.layers.0.self_attn.k_proj')).toBe(8);
    expect(scaleOf(patterns.config, 'model.layers.0.mlp.up_proj')).toBe(5.5);

    const rows = await readPeftAdapter(join(goldens, 'token-rows-tied/adapter'));
    expect(
      [...rows.tokenRows].map(
        ([
          module,
          {
            ids,
            rows: { shape },
          },
        ]) => [module, ids, shape],
      ),
    ).toEqual([['model.embed_tokens', [9, 3], [2, 8]]]);
    const both = await openPeftAdapter(join(goldens, 'token-rows-both/adapter'));
    expect([...both.tokenRows.keys()].sort()).toEqual(['lm_head', 'model.embed_tokens']);
    expect(both.tokenRows.get('lm_head')!.ids).toEqual([4]);

    const pairs = await openPeftAdapter(join(goldens, 'head-and-embedding-pairs/adapter'));
    expect(pairs.loraPairs.get('model.embed_tokens')).toMatchObject({
      kind: 'embedding',
      inFeatures: 16,
      outFeatures: 8,
    });
    expect([...pairs.savedModules.keys()].sort()).toEqual(['lm_head.weight', 'model.embed_tokens.weight']);
    expect(trainedValues(await openPeftAdapter(join(goldens, 'saved-head-tied/adapter')))).toBe(
      4 * 16 + 16 * 8 + 3 * 8,
    );
  });

  it.skipIf(!existsSync(kto))(
    'reads the adapter of PEFT 0.6 in ../shared/data (skipped where that is absent)',
    async () => {
      const adapter = await readPeftAdapter(kto);
      expect(adapter.loraPairs.size).toBe(12);
      expect(adapter.config).toMatchObject({
        rank: 16,
        alpha: 16,
        dropout: 0.05,
        fanInFanOut: true,
        targetModules: ['c_attn'],
      });
      expect(adapter.loraPairs.get('transformer.h.11.attn.c_attn')).toMatchObject({
        inFeatures: 768,
        outFeatures: 2304,
      });
    },
  );
});

describe('a new config', () => {
  it('is what PEFT expects, without keys that older versions do not know', () => {
    const config = newPeftConfig({
      rank: 8,
      alpha: 16,
      dropout: 0.1,
      targetModules: ['q_proj'],
      baseModel: 'models/tiny',
    });
    expect(config.raw).toEqual({
      alpha_pattern: {},
      auto_mapping: null,
      base_model_name_or_path: 'models/tiny',
      bias: 'none',
      fan_in_fan_out: false,
      inference_mode: true,
      init_lora_weights: true,
      layers_pattern: null,
      layers_to_transform: null,
      lora_alpha: 16,
      lora_dropout: 0.1,
      modules_to_save: null,
      peft_type: 'LORA',
      r: 8,
      rank_pattern: {},
      revision: null,
      target_modules: ['q_proj'],
      task_type: 'CAUSAL_LM',
      use_dora: false,
      use_rslora: false,
    });
  });

  it('names token rows where there are any', () => {
    const settings = { rank: 2, alpha: 4, dropout: 0, targetModules: ['q_proj'], baseModel: 'b' };
    const config = newPeftConfig({
      ...settings,
      trainableTokens: { embed_tokens: [7, 8] },
      modulesToSave: ['lm_head'],
    });
    expect(config.raw['trainable_token_indices']).toEqual({ embed_tokens: [7, 8] });
    expect(config.trainableTokens).toEqual([{ module: 'embed_tokens', ids: [7, 8] }]);
    expect(config.modulesToSave).toEqual(['lm_head']);
  });
});

describe('refusals', () => {
  const good: JsonObject = { peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: ['q_proj'], bias: 'none' };
  it.each<[JsonObject, string]>([
    [
      { peft_type: 'IA3' },
      'a.json: "peft_type" must be one that Fettle computes as PEFT does, got "IA3". It can read "LORA"',
    ],
    [
      { use_dora: true },
      'a.json: "use_dora" must be one that Fettle computes as PEFT does, got true. Merge it into its base model with PEFT, and use the merged model',
    ],
    [{ bias: 'lora_only' }, 'a.json: "bias" must be one that Fettle computes as PEFT does, got "lora_only"'],
    [
      { init_lora_weights: 'pissa_niter_4' },
      '"init_lora_weights" must be one that Fettle computes as PEFT does, got "pissa_niter_4"',
    ],
    [{ layer_replication: [[0, 4]] }, '"layer_replication" must be one that Fettle computes as PEFT does, got [[0,4]]'],
    [{ task_type: 'SEQ_CLS' }, '"task_type" must be one that Fettle computes as PEFT does, got "SEQ_CLS"'],
    [{ r: 0 }, 'a.json: "r" must be a number from 1 to 65536, got "0"'],
    [{ r: 1.5 }, 'a.json: "r" must be a whole number, got "1.5"'],
    [{ lora_dropout: 'x' }, 'a.json: "lora_dropout" must be a number from 0 to 1'],
    [
      { rank_pattern: { '(a+)+': 2 } },
      'a.json: "rank_pattern" must be an object of at most 10000 module patterns without nested repetition',
    ],
    [{ rank_pattern: { '[': 2 } }, 'a.json: "rank_pattern" must be'],
    [{ trainable_token_indices: [3, 3] }, 'a.json: "trainable_token_indices" must be a list of different token ids'],
  ])('%j', (change, message) => {
    expect(() => parsePeftConfig({ ...good, ...change }, 'a.json')).toThrow(message);
  });

  it('keeps unknown keys, and reads what is left out as PEFT does', () => {
    const config = parsePeftConfig({ ...good, somebody_elses_key: { a: 1 } }, 'a.json');
    expect(config.raw['somebody_elses_key']).toEqual({ a: 1 });
    expect(config).toMatchObject({ dropout: 0, useRslora: false, modulesToSave: [], baseModel: null });
  });

  async function broken(name: string, change: (path: string) => Promise<void>): Promise<string> {
    const path = join(folder, name);
    await cp(join(goldens, 'plain/adapter'), path, { recursive: true });
    await change(path);
    return openPeftAdapter(path).then(
      () => 'accepted',
      (error: Error) => error.message.replaceAll(`${folder}/`, ''),
    );
  }

  async function renameTensor(path: string, from: string, to: string): Promise<void> {
    const { tensors } = await openSafetensors(join(path, 'adapter_model.safetensors'));
    const renamed = [...tensors.values()].map((entry) => tensorFromEntry(entry, entry.name.replace(from, to)));
    await writeSafetensors(join(path, 'adapter_model.safetensors'), renamed);
  }

  it('a pair without its other half', async () => {
    const message = await broken('half', (path) => renameTensor(path, 'v_proj.lora_B', 'z_proj.lora_B'));
    expect(message).toBe(
      'half/adapter_model.safetensors: tensor "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight" must be there, got none',
    );
  });

  it('a rank that is not the config’s', async () => {
    const message = await broken('rank', async (path) => {
      const config = JSON.parse(await readFile(join(path, 'adapter_config.json'), 'utf8')) as JsonObject;
      await writeFile(join(path, 'adapter_config.json'), JSON.stringify({ ...config, r: 8 }));
    });
    expect(message).toBe(
      'rank/adapter_model.safetensors: tensor "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight" must have the shape [8, in], got [4, 12]',
    );
  });

  it('a DoRA vector, a foreign name', async () => {
    expect(await broken('dora', (path) => renameTensor(path, 'lora_A.weight', 'lora_magnitude_vector'))).toContain(
      'lora_magnitude_vector" must be one that Fettle computes as PEFT does, got a tensor of a LoRA variant',
    );
    expect(await broken('foreign', (path) => renameTensor(path, 'base_model.model.', 'unet.'))).toContain(
      ': its name must begin with base_model.model., got another beginning',
    );
  });

  it('weights that are missing or of another kind', async () => {
    const message = await broken('bin', async (path) => {
      await rm(join(path, 'adapter_model.safetensors'));
      await writeFile(join(path, 'adapter_model.gguf'), '');
    });
    expect(message).toBe(
      'bin: a PEFT adapter must hold adapter_model.safetensors, got adapter_config.json, adapter_model.gguf',
    );
    await mkdir(join(folder, 'empty'));
    await expect(openPeftAdapter(join(folder, 'empty'))).rejects.toThrow(
      'adapter_config.json: cannot be read: no such file or folder',
    );
  });
});
