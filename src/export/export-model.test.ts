import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  bytesEqual,
  openCheckpoint,
  readTensor,
  requireTensor,
  tensorFromValues,
  writeCheckpoint,
  writeFileAtomically,
  writeSafetensors,
} from '../formats/index.ts';
import { exportModel, type ExportModelOptions, type ExportProgress } from './export-model.ts';
import { addLowRank } from './low-rank.ts';

// Recorded by bench/adapters/record.py with PEFT 0.21.2 and transformers 5.23.0.
const goldens = fileURLToPath(new URL('../../test/goldens/adapters/', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-export-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function json(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
}

function golden(name: string, exportDir: string): ExportModelOptions {
  return { model: join(goldens, name, 'base'), adapters: [join(goldens, name, 'adapter')], exportDir };
}

/** The refusal's text, after which nothing may stand at the target that was not there before. */
async function refusal(options: ExportModelOptions): Promise<string> {
  const before = await readdir(folder);
  const message = await exportModel(options).then(
    () => 'accepted',
    (error: Error) => error.message.replaceAll(`${folder}/`, '').replaceAll(goldens, ''),
  );
  expect(await readdir(folder)).toEqual(before);
  return message;
}

describe('merging', () => {
  it.each([
    ['plain', false],
    ['rslora-patterns', false],
    ['fan-in-fan-out', true],
    ['head-and-embedding-pairs', false],
    ['saved-head-tied', false],
    ['saved-embedding-tied', false],
    ['saved-both-kept-tied', true],
    ['token-rows-tied', true],
    ['token-rows-both', false],
  ])('%s: within 1e-6 of what PEFT merges, tied: %s', async (name, tied) => {
    const exportDir = join(folder, name);
    const result = await exportModel(golden(name, exportDir));
    const merged = await openCheckpoint(exportDir);
    const expected = await openCheckpoint(join(goldens, name, 'merged'));
    expect([...merged.tensors.keys()].sort()).toEqual([...expected.tensors.keys()].sort());
    for (const [tensor, entry] of expected.tensors) {
      const want = await readTensor(entry);
      const got = await readTensor(requireTensor(merged, tensor));
      for (const [i, value] of want.entries()) {
        if (!(Math.abs(got[i]! - value) <= 1e-6)) expect.fail(`${tensor}[${i}]: got ${got[i]}, PEFT has ${value}`);
      }
    }
    expect((await json(join(exportDir, 'config.json')))['tie_word_embeddings']).toBe(tied);
    expect(result.changedTensors).toBeGreaterThan(1);
    expect(result.notices.length).toBe(name.endsWith('tied') && !tied ? 1 : 0);
  });

  it.each(['bf16', 'f16'])('%s: rounded once, to the bit', async (name) => {
    const exportDir = join(folder, name);
    await exportModel(golden(name, exportDir));
    const merged = await openCheckpoint(exportDir);
    const expected = await openCheckpoint(join(goldens, name, 'merged'));
    expect([...merged.tensors.keys()].sort()).toEqual([...expected.tensors.keys()].sort());
    for (const [tensor, entry] of expected.tensors) {
      if (!(await bytesEqual(entry, requireTensor(merged, tensor)))) expect.fail(tensor);
    }
  });

  it('keeps the base’s config and weights to the byte where nothing changed them', async () => {
    const exportDir = join(folder, 'kept');
    const options = golden('plain', exportDir);
    await exportModel(options);
    expect(await readFile(join(exportDir, 'config.json'))).toEqual(await readFile(join(options.model, 'config.json')));
    const base = await openCheckpoint(options.model);
    const merged = await openCheckpoint(exportDir);
    const name = 'model.layers.0.self_attn.k_proj.weight';
    expect(await bytesEqual(requireTensor(base, name), requireTensor(merged, name))).toBe(true);
  });

  it('merges several adapters into one another', async () => {
    const exportDir = join(folder, 'twice');
    const { model, adapters } = golden('plain', exportDir);
    await exportModel({ model, adapters: [...adapters!, ...adapters!], exportDir });
    const once = await openCheckpoint(join(goldens, 'plain/merged'));
    const base = await openCheckpoint(model);
    const twice = await openCheckpoint(exportDir);
    const name = 'model.layers.0.self_attn.q_proj.weight';
    const [w, w1, w2] = await Promise.all([base, once, twice].map((from) => readTensor(requireTensor(from, name))));
    for (const [i, value] of w2!.entries()) expect(value).toBeCloseTo(w![i]! + 2 * (w1![i]! - w![i]!), 5);
  });

  it('adds a product of any rank, in blocks of rows', () => {
    const [rows, rank, columns] = [5, 7, 6];
    const left = Float32Array.from({ length: rows * rank }, (_, i) => Math.sin(i));
    const right = Float32Array.from({ length: rank * columns }, (_, i) => Math.cos(i));
    const weight = Float32Array.from({ length: rows * columns }, (_, i) => i / 10);
    const change = { rank, left, right, scale: 0.5 };
    const whole = weight.slice();
    addLowRank(whole, 0, columns, change);
    const parts = weight.slice();
    addLowRank(parts.subarray(0, 2 * columns), 0, columns, change);
    addLowRank(parts.subarray(2 * columns), 2, columns, change);
    expect(parts).toEqual(whole);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        let sum = 0;
        for (let k = 0; k < rank; k++) sum += left[row * rank + k]! * right[k * columns + column]!;
        const i = row * columns + column;
        expect(whole[i]).toBeCloseTo(weight[i]! + 0.5 * sum, 6);
      }
    }
  });
});

describe('what is written', () => {
  it('shards by export_size in GB, with an index, and shows progress', async () => {
    const exportDir = join(folder, 'sharded');
    const progress: ExportProgress[] = [];
    const options = {
      ...golden('plain', exportDir),
      exportSize: 1.5e-6,
      onProgress: (p: ExportProgress) => progress.push(p),
    };
    const result = await exportModel(options);
    const shards = result.files.filter((name) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name));
    expect(shards.length).toBeGreaterThan(2);
    expect(result.files).toContain('model.safetensors.index.json');
    expect(result.files).not.toContain('model.safetensors');
    const single = join(folder, 'plain');
    const [a, b] = await Promise.all([openCheckpoint(exportDir), openCheckpoint(single)]);
    expect(a.totalBytes).toBe(b.totalBytes);
    for (const [name, entry] of b.tensors) expect(await bytesEqual(entry, requireTensor(a, name))).toBe(true);
    expect(progress).toHaveLength(b.tensors.size);
    expect(progress.at(-1)).toMatchObject({ bytesWritten: result.totalBytes, totalBytes: result.totalBytes });
  });

  it('takes tokenizer and template from the adapter, generation config and licence from the base', async () => {
    const [model, adapter, exportDir] = ['base', 'adapter', 'companions'].map((name) =>
      join(folder, `companions-${name}`),
    );
    await cp(join(goldens, 'plain/base'), model!, { recursive: true });
    await cp(join(goldens, 'plain/adapter'), adapter!, { recursive: true });
    for (const name of ['tokenizer.json', 'merges.txt', 'generation_config.json', 'LICENSE', 'README.md', 'x.bin']) {
      await writeFile(join(model!, name), `base ${name}`);
    }
    const options = { model: model!, adapters: [adapter!], exportDir: exportDir! };
    await exportModel(options);
    expect(await readdir(exportDir!)).toEqual([
      'LICENSE',
      'config.json',
      'fettle_export.json',
      'generation_config.json',
      'merges.txt',
      'model.safetensors',
      'tokenizer.json',
    ]);
    for (const name of ['tokenizer.json', 'chat_template.jinja'])
      await writeFile(join(adapter!, name), `adapter ${name}`);
    await exportModel(options);
    expect(await readdir(exportDir!)).not.toContain('merges.txt');
    expect(await readFile(join(exportDir!, 'tokenizer.json'), 'utf8')).toBe('adapter tokenizer.json');
    expect(await readFile(join(exportDir!, 'chat_template.jinja'), 'utf8')).toBe('adapter chat_template.jinja');
    expect(await readFile(join(exportDir!, 'generation_config.json'), 'utf8')).toBe('base generation_config.json');
  });

  it('stores a tuned model in another dtype', async () => {
    const exportDir = join(folder, 'converted');
    await exportModel({ model: join(goldens, 'plain/merged'), exportDir, dtype: 'BF16' });
    const merged = await openCheckpoint(exportDir);
    expect(new Set([...merged.tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(['BF16']));
    const config = await json(join(exportDir, 'config.json'));
    expect(config['dtype'] ?? config['torch_dtype']).toBe('bfloat16');
  });

  it('lets the vocabulary grow with the adapter', async () => {
    const adapter = join(folder, 'grown-adapter');
    await cp(join(goldens, 'saved-both-kept-tied/adapter'), adapter, { recursive: true });
    const grown = Float32Array.from({ length: 20 * 8 }, (_, i) => i);
    const names = ['base_model.model.model.embed_tokens.weight', 'base_model.model.lm_head.weight'];
    const tensors = names.map((name) => tensorFromValues(name, [20, 8], grown));
    await writeSafetensors(join(adapter, 'adapter_model.safetensors'), tensors);
    const exportDir = join(folder, 'grown');
    const result = await exportModel({
      model: join(goldens, 'saved-both-kept-tied/base'),
      adapters: [adapter],
      exportDir,
    });
    expect(await json(join(exportDir, 'config.json'))).toMatchObject({ vocab_size: 20, tie_word_embeddings: true });
    expect(result.notices).toEqual([
      'the vocabulary grew with the adapter: config.json says vocab_size 20 instead of 16',
    ]);
    await writeSafetensors(join(adapter, 'adapter_model.safetensors'), tensors.slice(0, 1));
    await expect(
      exportModel({ model: join(goldens, 'saved-both-kept-tied/base'), adapters: [adapter], exportDir }),
    ).rejects.toThrow('"lm_head.weight" must fit the base model');
  });
});

describe('refusals', () => {
  it('a target that is no export, unless told; an earlier export is replaced', async () => {
    const exportDir = join(folder, 'mine');
    await mkdir(exportDir);
    await writeFile(join(exportDir, 'thesis.txt'), 'years of work');
    expect(await refusal(golden('plain', exportDir))).toBe(
      'mine: export_dir must be empty, new, or an earlier export, got a folder with thesis.txt. Choose another folder, or set overwrite_output_dir: true to replace it',
    );
    expect(await readdir(exportDir)).toEqual(['thesis.txt']);
    await exportModel({ ...golden('plain', exportDir), overwrite: true });
    expect(await readdir(exportDir)).not.toContain('thesis.txt');
    await exportModel(golden('bf16', exportDir));
    expect(requireTensor(await openCheckpoint(exportDir), 'lm_head.weight').dtype).toBe('BF16');
  });

  it('a target around what is exported, even when told to overwrite', async () => {
    const model = join(folder, 'around/base');
    await cp(join(goldens, 'plain/base'), model, { recursive: true });
    const message = 'must lie apart from what is exported, got';
    expect(await refusal({ model, exportDir: model, overwrite: true })).toContain(message);
    expect(await refusal({ model, exportDir: join(folder, 'around'), overwrite: true })).toContain(message);
    expect(await readdir(model)).toEqual(['config.json', 'model.safetensors']);
  });

  it('adapters of another model, by module', async () => {
    const exportDir = join(folder, 'never');
    const adapters = [join(goldens, 'fan-in-fan-out/adapter')];
    expect(await refusal({ model: join(goldens, 'plain/base'), adapters, exportDir })).toBe(
      'fan-in-fan-out/adapter: the adapter changes "transformer.h.0.attn.c_attn", which must be in the base model plain/base, got no such tensor. It was trained on another model',
    );
    const model = join(folder, 'narrow');
    await cp(join(goldens, 'plain/base'), model, { recursive: true });
    const base = await openCheckpoint(model);
    const tensors = await Promise.all(
      [...base.tensors.values()].map(async (entry) =>
        entry.name.includes('down_proj')
          ? tensorFromValues(entry.name, [8, 11], new Float32Array(88))
          : tensorFromValues(entry.name, entry.shape, await readTensor(entry)),
      ),
    );
    await writeCheckpoint(model, tensors);
    expect(await refusal({ model, adapters: [join(goldens, 'plain/adapter')], exportDir })).toBe(
      'plain/adapter: the adapter\'s "model.layers.0.mlp.down_proj" must fit the base model narrow with [8, 11], got [8, 12]. It was trained on another model',
    );
  });

  it('values that are not finite in the stored dtype', async () => {
    const model = join(folder, 'large');
    await cp(join(goldens, 'f16/base'), model, { recursive: true });
    const base = await openCheckpoint(model);
    const name = 'model.layers.0.self_attn.q_proj.weight';
    const tensors = await Promise.all(
      [...base.tensors.values()].map(async (entry) => {
        const values = await readTensor(entry);
        return tensorFromValues(entry.name, entry.shape, entry.name === name ? values.fill(65_504) : values, 'F32');
      }),
    );
    await writeCheckpoint(model, tensors);
    const adapter = join(folder, 'large-adapter');
    await cp(join(goldens, 'f16/adapter'), adapter, { recursive: true });
    const module = `base_model.model.${name.slice(0, -'.weight'.length)}`;
    await writeSafetensors(join(adapter, 'adapter_model.safetensors'), [
      tensorFromValues(`${module}.lora_A.weight`, [4, 8], new Float32Array(32).fill(10)),
      tensorFromValues(`${module}.lora_B.weight`, [8, 4], new Float32Array(32).fill(10)),
    ]);
    expect(await refusal({ model, adapters: [adapter], exportDir: join(folder, 'never'), dtype: 'F16' })).toBe(
      `merging "${name}": every value must be finite in F16, got Infinity. It may be too large for f16: export with infer_dtype: bfloat16`,
    );
  });

  it('an adapter in the model’s place, a size of nothing, no config', async () => {
    const exportDir = join(folder, 'never');
    expect(await refusal({ model: join(goldens, 'plain/adapter'), exportDir })).toBe(
      "plain/adapter: model_name_or_path must be a model's folder, got an adapter. Name the adapter as adapter_name_or_path and its base as model_name_or_path",
    );
    expect(await refusal({ ...golden('plain', exportDir), exportSize: 0 })).toBe(
      'export_size: must be a number of GB above 0, got 0',
    );
    expect(await refusal({ model: join(goldens, 'bf16/merged'), exportDir })).toBe(
      'bf16/merged/config.json: cannot be read: no such file or folder',
    );
  });

  it('leaves what stood there where writing fails half-way, and clears what a killed export left', async () => {
    const exportDir = join(folder, 'half');
    await exportModel(golden('plain', exportDir));
    const before = await readdir(exportDir);
    // A process id beyond Linux's largest: no such process.
    await mkdir(join(folder, '.half.export-4999999-0123abcd'));
    await writeFileAtomically(join(folder, '.half.export-4999999-0123abcd/model.safetensors'), 'half');
    const names = (await readdir(folder)).filter((name) => !name.startsWith('.half'));
    const full = Object.assign(new Error('write'), { code: 'ENOSPC' });
    const failing = exportModel({
      ...golden('bf16', exportDir),
      onProgress: () => {
        throw full;
      },
    });
    await expect(failing).rejects.toMatchObject({ code: 'disk-full' });
    await failing.catch((error: Error) => {
      expect(error.message).toContain(`${join(exportDir, 'model.safetensors')}: writing needs`);
    });
    expect(await readdir(exportDir)).toEqual(before);
    expect(await readdir(folder)).toEqual(names);
  });
});
