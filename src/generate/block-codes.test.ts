/** Decoding with weights in blocks of codes: against the same weights as floats, from floats and from bitsandbytes' codes. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBlockCodes, openModelFolder } from '../checkpoint/index.ts';
import { readTensor } from '../formats/index.ts';
import { dequantizeBlocks, quantizeBlocks } from '../quant/index.ts';
import { largestDifference, writeTinyModel } from '../testing/index.ts';
import { frozenMethod } from '../tuning/index.ts';
import { testCompileOptions } from '../../test/support/parity-model.ts';
import { Decoder } from './decoder.ts';
import { openModel } from './open-model.ts';

const config = {
  model_type: 'llama',
  vocab_size: 100,
  hidden_size: 96,
  intermediate_size: 144,
  num_attention_heads: 3,
  num_key_value_heads: 1,
  num_hidden_layers: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  tie_word_embeddings: true,
  hidden_act: 'silu',
};
const ids = [3, 14, 15, 92, 65, 35];
let folder: string;
let cacheBefore: string | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-blocks-'));
  cacheBefore = process.env['FETTLE_CACHE'];
  process.env['FETTLE_CACHE'] = join(folder, 'cache');
  await writeTinyModel(join(folder, 'model'), { config, seed: 3 });
});
afterAll(async () => {
  if (cacheBefore === undefined) delete process.env['FETTLE_CACHE'];
  else process.env['FETTLE_CACHE'] = cacheBefore;
  await rm(folder, { recursive: true });
});

async function logitsOf(decoder: Decoder): Promise<Float32Array[]> {
  const prompt = (await decoder.append(0, [ids]))[0]!.slice();
  const next = (await decoder.next([7]))[0]!.slice();
  await decoder.release();
  return [prompt, next];
}

describe.each([
  ['int8', { linear: 8, output: 8 }],
  ['int4', { linear: 4, output: 8 }],
] as const)('%s', (inferDtype, bits) => {
  it('is the model with rounded weights, up to the rounding of activations', async () => {
    const opened = await openModelFolder(join(folder, 'model'));
    const modules = new Map(opened.model.linearModules.map((module) => [`${module.name}.weight`, module]));
    const weights = new Map<string, Float32Array>();
    for (const [name, entry] of opened.checkpoint.tensors) {
      const values = await readTensor(entry);
      const module = modules.get(name);
      if (!module) weights.set(name, values);
      else
        weights.set(
          name,
          dequantizeBlocks(quantizeBlocks(values, module.inputs, bits.linear), module.inputs, bits.linear),
        );
    }
    const rounded = join(folder, `rounded-${inferDtype}`);
    await writeTinyModel(rounded, { config, seed: 3, weights: (name) => weights.get(name)! });
    const expected = await logitsOf((await openModel(rounded, [], testCompileOptions)).decoder);
    const actual = await logitsOf(
      (await openModel(join(folder, 'model'), [], testCompileOptions, { inferDtype })).decoder,
    );
    const spread = Math.max(...expected[0]!.map(Math.abs));
    // the output layer's own rounding and that of the rows that go into products
    actual.forEach((logits, i) => expect(largestDifference(logits, expected[i]!)).toBeLessThan(0.02 * spread));
  });

  it('starts from bitsandbytes codes as well', async () => {
    const quantization = { bits: 4, type: 'nf4', doubleQuantization: true } as const;
    const inCodes = await openModelFolder(join(folder, 'model'), quantization);
    const expected = await logitsOf(
      await Decoder.create(inCodes, frozenMethod(inCodes.stored), new Map(), testCompileOptions),
    );
    const actual = await logitsOf(
      (await openModel(join(folder, 'model'), [], testCompileOptions, { inferDtype, quantization })).decoder,
    );
    const spread = Math.max(...expected[0]!.map(Math.abs));
    actual.forEach((logits, i) =>
      expect(largestDifference(logits, expected[i]!)).toBeLessThan((inferDtype === 'int8' ? 0.03 : 0.3) * spread),
    );
    const { stored } = await openBlockCodes(inCodes, bits);
    expect([...stored.values()].filter(({ dtype }) => dtype === 'blocks')).toHaveLength(2 * 7 + 1);
    expect([...stored.values()].some(({ dtype }) => dtype === 'nf4')).toBe(false);
  });
});
