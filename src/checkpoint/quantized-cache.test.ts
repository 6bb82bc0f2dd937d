import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { openSafetensors, readTensorBytes, tensorFromValues, writeSafetensors } from '../formats/index.ts';
import { dequantizeScales, quantizeFourBit, quantizeScales } from '../quant/index.ts';
import type { WeightLocation } from '../runtime/index.ts';
import { openModelFolder, openWeights, type Quantization } from './index.ts';

const config = {
  model_type: 'llama',
  vocab_size: 16,
  hidden_size: 12,
  intermediate_size: 20,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  max_position_embeddings: 32,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
};
const nf4: Quantization = { bits: 4, type: 'nf4', doubleQuantization: true };
const downProjection = 'model.layers.0.mlp.down_proj.weight';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-quantized-'));
  vi.stubEnv('FETTLE_CACHE', join(folder, 'cache'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const valuesOf = (name: string, count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7 + name.length));

async function writeModel(change: (name: string, values: Float32Array) => void = () => {}): Promise<void> {
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  const layer = 'model.layers.0';
  const square = ['q_proj', 'k_proj', 'v_proj', 'o_proj'].map(
    (name) => [`${layer}.self_attn.${name}`, 12, 12] as const,
  );
  const shapes: (readonly [string, number, number?])[] = [
    ['model.embed_tokens', 16, 12],
    ['model.norm', 12],
    [`${layer}.input_layernorm`, 12],
    [`${layer}.post_attention_layernorm`, 12],
    ...square,
    [`${layer}.mlp.gate_proj`, 20, 12],
    [`${layer}.mlp.up_proj`, 20, 12],
    [`${layer}.mlp.down_proj`, 12, 20],
  ];
  await writeSafetensors(
    join(folder, 'model.safetensors'),
    shapes.map(([module, rows, width]) => {
      const values = valuesOf(module, rows * (width ?? 1));
      change(`${module}.weight`, values);
      return tensorFromValues(`${module}.weight`, width === undefined ? [rows] : [rows, width], values);
    }),
  );
}

async function bytesAt(source: WeightLocation | Uint8Array): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  return (await readFile(source.file)).subarray(source.offset, source.offset + source.length);
}

const cached = async (): Promise<string[]> =>
  (await readdir(join(folder, 'cache', 'quantized'))).filter((name) => name.endsWith('.safetensors'));

it('opening a model writes nothing; opening its weights makes codes equal to those of the values', async () => {
  await writeModel();
  const opened = await openModelFolder(folder, nf4);
  expect(await readdir(folder)).not.toContain('cache');
  expect(opened.stored.get(downProjection)).toEqual({
    dtype: 'nf4',
    shape: [12, 20],
    blockSize: 64,
    nestedBlockSize: 256,
  });
  expect(opened.stored.get('model.embed_tokens.weight')?.dtype).toBe('float32');
  const locate = await openWeights(opened);
  const values = valuesOf('model.layers.0.mlp.down_proj', 240);
  const expected = quantizeFourBit(values, 'nf4');
  expect([...(await bytesAt(locate(downProjection)))]).toEqual([...expected.codes]);
  const nested = quantizeScales(expected.absmax);
  expect([...(await bytesAt(locate(`${downProjection}.absmax`)))]).toEqual([...nested.codes]);
  const offset = new Float32Array((await bytesAt(locate(`${downProjection}.nested_offset`))).slice().buffer)[0];
  expect(offset).toBe(nested.offset);
  expect(dequantizeScales(nested)).toHaveLength(4);
});

it('the file has the names of bitsandbytes, and the hash of its contents as name', async () => {
  await writeModel();
  await openWeights(await openModelFolder(folder, nf4));
  const [name] = await cached();
  expect(name).toMatch(/^[0-9a-f]{64}\.safetensors$/);
  const { tensors } = await openSafetensors(join(folder, 'cache', 'quantized', name!));
  expect([...tensors.keys()].filter((key) => key.startsWith(downProjection)).toSorted()).toEqual([
    downProjection,
    `${downProjection}.absmax`,
    `${downProjection}.nested_absmax`,
    `${downProjection}.nested_quant_map`,
    `${downProjection}.quant_map`,
    `${downProjection}.quant_state.bitsandbytes__nf4`,
  ]);
  const chunks: Uint8Array[] = [];
  for await (const chunk of readTensorBytes(tensors.get(`${downProjection}.quant_state.bitsandbytes__nf4`)!)) {
    chunks.push(chunk.slice());
  }
  expect(JSON.parse(Buffer.concat(chunks).toString())).toMatchObject({
    quant_type: 'nf4',
    blocksize: 64,
    dtype: 'float32',
    shape: [12, 20],
    nested_blocksize: 256,
    nested_dtype: 'float32',
  });
});

it('the next start uses the file as it is; a damaged one is made again; other settings get another', async () => {
  await writeModel();
  await openWeights(await openModelFolder(folder, nf4));
  const [name] = await cached();
  const file = join(folder, 'cache', 'quantized', name!);
  const before = await stat(file);
  await openWeights(await openModelFolder(folder, nf4));
  expect((await stat(file)).mtimeMs).toBe(before.mtimeMs);
  const whole = await readFile(file);
  await writeFile(file, whole.subarray(0, whole.length - 9));
  await openWeights(await openModelFolder(folder, nf4));
  expect(await readFile(file)).toEqual(whole);
  await openWeights(await openModelFolder(folder, { ...nf4, doubleQuantization: false }));
  await openWeights(await openModelFolder(folder, { ...nf4, bits: 8 }));
  expect(await cached()).toHaveLength(3);
});

it('numbers that are not finite are refused by name, and leave no file', async () => {
  await writeModel((name, values) => {
    if (name === downProjection) values[70] = Number.NaN;
  });
  await expect(openModelFolder(folder, nf4).then(openWeights)).rejects.toMatchObject({
    code: 'tensor-not-finite',
    fields: { tensor: downProjection, value: 'NaN' },
  });
  expect(await cached()).toEqual([]);
});

/** The bytes that a weight's leaf is mapped from. */
async function leafBytes(locate: Awaited<ReturnType<typeof openWeights>>, name: string): Promise<Int8Array> {
  const { file, offset, length } = locate(name) as WeightLocation;
  return new Int8Array((await readFile(file)).buffer.slice(offset, offset + length));
}

it('products in integers get the bytes of 8-bit codes, laid out both ways; the fast form gets a head', async () => {
  await writeModel();
  const eight = await openWeights(await openModelFolder(folder, { ...nf4, bits: 8 }));
  const fast = await openModelFolder(folder, undefined, 'int8');
  const locate = await openWeights(fast);
  const codes = await leafBytes(locate, downProjection);
  expect(codes).toEqual(await leafBytes(eight, downProjection));
  const turned = await leafBytes(locate, `${downProjection}.transposed`);
  expect(turned).toEqual(codes.map((_, i) => codes[(i % 12) * 20 + Math.floor(i / 12)]!));
  const integer = { terms: 1, gradient: 1, bothWays: true };
  expect(fast.stored.get(downProjection)).toEqual({ dtype: 'int8', shape: [12, 20], integer });
  // the head is tied to the table, which the embedding needs in floats
  const embedding = 'model.embed_tokens.weight';
  expect(fast.stored.get(embedding)).toMatchObject({ dtype: 'float32' });
  expect(fast.stored.get('lm_head.integer.weight')).toEqual({
    dtype: 'int8',
    shape: [16, 12],
    integer: { terms: 1, gradient: { name: embedding, dtype: 'float32' }, bothWays: true },
  });
  expect(await leafBytes(locate, 'lm_head.integer.weight.transposed')).toHaveLength(16 * 12);
  const careful = await openModelFolder(folder, undefined, 'int8_careful');
  expect(careful.stored.get(downProjection)).toMatchObject({ integer: { terms: 2 } });
  expect(careful.stored.has('lm_head.integer.weight')).toBe(false);
});
