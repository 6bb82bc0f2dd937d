import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertLlama2c, toHalfSplitRows } from './from-llama2c.ts';
import { exportGguf, toInterleavedRows } from './to-gguf.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-to-gguf-'));
});
afterAll(() => rm(folder, { recursive: true }));

interface ReadGguf {
  readonly metadata: Map<string, unknown>;
  /** Name -> type number, sizes as in the file, place of the data. */
  readonly tensors: Map<string, { type: number; sizes: number[]; at: number }>;
  readonly bytes: Buffer;
}

/** Reads a GGUF file as its specification says; knows the value types that are written here. */
function readGguf(bytes: Buffer): ReadGguf {
  let position = 8;
  const uint32 = (): number => bytes.readUInt32LE((position += 4) - 4);
  const uint64 = (): number => Number(bytes.readBigUInt64LE((position += 8) - 8));
  const string = (): string => {
    const length = uint64();
    return bytes.toString('utf8', position, (position += length));
  };
  const value = (type: number): unknown => {
    if (type === 4) return uint32();
    if (type === 5) return bytes.readInt32LE((position += 4) - 4);
    if (type === 6) return bytes.readFloatLE((position += 4) - 4);
    if (type === 7) return bytes[position++] === 1;
    if (type === 8) return string();
    expect(type).toBe(9);
    const element = uint32();
    return Array.from({ length: uint64() }, () => value(element));
  };
  expect(bytes.toString('latin1', 0, 4)).toBe('GGUF');
  expect(bytes.readUInt32LE(4)).toBe(3);
  const tensorCount = uint64();
  const metadata = new Map(Array.from({ length: uint64() }, () => [string(), value(uint32())] as const));
  const list = Array.from({ length: tensorCount }, () => {
    const name = string();
    const sizes = Array.from({ length: uint32() }, () => uint64());
    return { name, sizes, type: uint32(), at: uint64() };
  });
  const start = Math.ceil(position / 32) * 32;
  return {
    metadata,
    tensors: new Map(list.map(({ name, at, ...rest }) => [name, { ...rest, at: start + at }])),
    bytes,
  };
}

const stories = fileURLToPath(new URL('../../../shared/data/model/stories260K/', import.meta.url));

describe('rotary rows', () => {
  it('go back to the order that llama2.c has', () => {
    const rows = Float32Array.from({ length: 48 }, (_, i) => i);
    expect(toInterleavedRows(toHalfSplitRows(rows, 2, 3), 2, 3)).toEqual(rows);
  });
});

describe.skipIf(!existsSync(stories))('stories260K (skipped where ../shared/data is absent)', () => {
  const model = (): string => join(folder, 'stories');
  beforeAll(async () => {
    const [checkpoint, tokenizer] = ['stories260K.bin', 'tok512.bin'].map((name) => join(stories, name));
    await convertLlama2c({ checkpoint: checkpoint!, tokenizer: tokenizer!, output: model() });
  });

  it('has llama.cpp’s names, and the weights of the original in its order', async () => {
    const output = join(folder, 'f32.gguf');
    const result = await exportGguf({ model: model(), output, type: 'f32' });
    expect(result.tensors).toEqual({ f32: 47 });
    const { metadata, tensors, bytes } = readGguf(await readFile(output));
    expect(bytes.length).toBe(result.bytes);
    expect(Object.fromEntries(metadata)).toMatchObject({
      'general.architecture': 'llama',
      'general.file_type': 0,
      'llama.block_count': 5,
      'llama.context_length': 512,
      'llama.attention.head_count_kv': 4,
      'llama.attention.layer_norm_rms_epsilon': Math.fround(1e-5),
      'tokenizer.ggml.model': 'llama',
      'tokenizer.ggml.bos_token_id': 1,
      'tokenizer.ggml.add_bos_token': true,
      'tokenizer.ggml.add_space_prefix': true,
    });
    const types = metadata.get('tokenizer.ggml.token_type') as number[];
    expect(types.slice(0, 4)).toEqual([2, 3, 3, 6]);
    expect(types.slice(258, 261)).toEqual([6, 1, 1]);
    const pieces = metadata.get('tokenizer.ggml.tokens') as string[];
    const scores = metadata.get('tokenizer.ggml.scores') as number[];
    const score = (piece: string): number => scores[pieces.indexOf(piece)]!;
    expect(score('\u2581t')).toBeGreaterThan(score('he'));
    expect(score('\u2581the')).toBeGreaterThan(score('ed'));
    expect(tensors.get('blk.4.ffn_down.weight')!.sizes).toEqual([172, 64]);
    expect(tensors.has('output.weight')).toBe(false);
    // llama2.c stores wq after the embedding and the attention norms, in the order that llama.cpp wants.
    const original = await readFile(join(stories, 'stories260K.bin'));
    const wq = 28 + 4 * (512 * 64 + 5 * 64);
    const { at } = tensors.get('blk.1.attn_q.weight')!;
    const length = 4 * 64 * 64;
    expect(bytes.subarray(at, at + length).equals(original.subarray(wq + length, wq + 2 * length))).toBe(true);
  });

  it('stores blocks where rows divide, f16 where they do not, vectors in f32', async () => {
    const output = join(folder, 'q4_0.gguf');
    const result = await exportGguf({ model: model(), output, type: 'q4_0' });
    expect(result.tensors).toEqual({ q4_0: 30, q8_0: 1, f16: 5, f32: 11 });
    const { tensors, metadata } = readGguf(await readFile(output));
    expect(metadata.get('general.file_type')).toBe(2);
    expect(tensors.get('token_embd.weight')!.type).toBe(8);
    expect(tensors.get('blk.0.attn_q.weight')!.type).toBe(2);
    expect(tensors.get('blk.0.ffn_down.weight')!.type).toBe(1);
    expect(tensors.get('output_norm.weight')!.type).toBe(0);
  });

  it('refuses what llama.cpp would compute otherwise', async () => {
    const config = join(model(), 'config.json');
    const text = await readFile(config, 'utf8');
    const dynamic = { ...(JSON.parse(text) as object), rope_scaling: { type: 'dynamic', factor: 2 } };
    await writeFile(config, JSON.stringify(dynamic));
    const output = join(folder, 'never.gguf');
    await expect(exportGguf({ model: model(), output, type: 'f16' })).rejects.toThrow(
      'config.json: for GGUF the model must be one that llama.cpp computes in the same way, got dynamic rope scaling. Export it as safetensors',
    );
    await writeFile(config, text);
    const tokenizer = join(model(), 'tokenizer.json');
    const json = await readFile(tokenizer, 'utf8');
    const changed = JSON.parse(json) as { model: { byte_fallback: boolean } };
    changed.model.byte_fallback = false;
    await writeFile(tokenizer, JSON.stringify(changed));
    await expect(exportGguf({ model: model(), output, type: 'f16' })).rejects.toThrow('got a split pattern of its own');
    expect(existsSync(output)).toBe(false);
  });
});
