/**
 * QLoRA against transformers, bitsandbytes and PEFT on a tiny llama model: what bench/quant/record_qlora.py recorded (script,
 * versions and seed stand in the golden), to the tolerances that the project promises.
 */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type ModelFolder, openModelFolder, openWeights, type Quantization } from '../src/checkpoint/index.ts';
import { Decoder } from '../src/generate/decoder.ts';
import type { WeightLocation } from '../src/runtime/index.ts';
import { decodeBase64Floats, largestDifference, relativeDifference, writeTinyModel } from '../src/testing/index.ts';
import { createGraphEngine } from '../src/train/graph-engine.ts';
import { frozenMethod } from '../src/tuning/index.ts';
import { batchLogits } from './support/logits.ts';
import type { ParityGolden } from './support/parity-golden.ts';
import {
  adapterValues,
  meanGradients,
  recordedLora,
  testCompileOptions,
  toSequences,
  trainAsRecorded,
} from './support/parity-model.ts';

const goldens = new URL('goldens/quant/', import.meta.url);

type Variant = 'nf4-double' | 'nf4' | 'fp4-double' | 'int8';
type Trained = Pick<ParityGolden, 'lora' | 'training'>;
type QloraGolden = Omit<ParityGolden, 'logits' | 'lora' | 'training'> &
  Record<'nf4-double' | 'int8', Trained> & {
    readonly fourBitConfig: Readonly<Record<string, unknown>>;
    readonly loadedIn4bit: { readonly rows: readonly string[] };
    readonly logits: Readonly<Record<Variant, readonly string[]>>;
  };

const golden = JSON.parse(await readFile(new URL('qlora.json', goldens), 'utf8')) as QloraGolden;
const quantizations: Readonly<Record<Variant, Quantization>> = {
  'nf4-double': { bits: 4, type: 'nf4', doubleQuantization: true },
  nf4: { bits: 4, type: 'nf4', doubleQuantization: false },
  'fp4-double': { bits: 4, type: 'fp4', doubleQuantization: true },
  int8: { bits: 8, type: 'nf4', doubleQuantization: true },
};
const rows = toSequences(golden.rows);
const floats = (texts: readonly string[]): Float32Array =>
  Float32Array.from(texts.flatMap((text) => [...decodeBase64Floats(text)]));
const withRuns = (variant: 'nf4-double' | 'int8'): ParityGolden => ({
  ...golden,
  logits: { rows: [] },
  ...golden[variant],
});

let folder: string;
/** The folder that transformers wrote in 4 bits. */
let published: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-qlora-'));
  vi.stubEnv('FETTLE_CACHE', join(folder, 'cache'));
  const { seed, shapes } = golden.weights;
  await writeTinyModel(folder, { config: golden.config, seed, shapes: new Map(Object.entries(shapes)) });
  published = await mkdtemp(join(tmpdir(), 'fettle-qlora-published-'));
  await writeFile(join(published, 'config.json'), JSON.stringify(golden.fourBitConfig));
  await copyFile(new URL('four-bit.safetensors', goldens), join(published, 'model.safetensors'));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  for (const path of [folder, published]) await rm(path, { recursive: true, force: true });
});

const logitsOf = (opened: ModelFolder): Promise<Float32Array> =>
  batchLogits(opened, frozenMethod(opened.stored), rows, {}, testCompileOptions);

async function bytesAt(source: WeightLocation | Uint8Array): Promise<Buffer> {
  if (source instanceof Uint8Array) return Buffer.from(source);
  return (await readFile(source.file)).subarray(source.offset, source.offset + source.length);
}

it.each(Object.keys(quantizations) as Variant[])('%s: logits of the dequantised weights', async (variant) => {
  const logits = await logitsOf(await openModelFolder(folder, quantizations[variant]));
  expect(largestDifference(logits, floats(golden.logits[variant]))).toBeLessThan(1e-4);
});

it('a checkpoint that transformers wrote in 4 bits loads as it is and gives its logits', async () => {
  const opened = await openModelFolder(published);
  expect(opened.quantized).toBeUndefined();
  expect(largestDifference(await logitsOf(opened), floats(golden.loadedIn4bit.rows))).toBeLessThan(1e-4);
});

it('such a checkpoint is known by its headers while its weights are elsewhere', async () => {
  const file = await readFile(join(published, 'model.safetensors'));
  let bytes = 0;
  const source = {
    size: file.length,
    read: async (offset: number, length: number) => {
      bytes += length;
      return file.subarray(offset, offset + length);
    },
  };
  const elsewhere = await mkdtemp(join(tmpdir(), 'fettle-qlora-elsewhere-'));
  try {
    await copyFile(join(published, 'config.json'), join(elsewhere, 'config.json'));
    const remote = new Map([['model.safetensors', source]]);
    const opened = await openModelFolder(elsewhere, undefined, undefined, remote);
    expect(opened.stored).toEqual((await openModelFolder(published)).stored);
    expect(bytes).toBeLessThan(file.length / 2);
  } finally {
    await rm(elsewhere, { recursive: true, force: true });
  }
});

it('codes and scales are those that transformers wrote, to the bit', async () => {
  const ours = await openWeights(await openModelFolder(folder, quantizations['nf4-double']));
  const opened = await openModelFolder(published);
  const theirs = await openWeights(opened);
  expect(opened.codes.size).toBe(14 * 5);
  for (const name of opened.codes.keys()) {
    expect((await bytesAt(ours(name))).equals(await bytesAt(theirs(name))), name).toBe(true);
  }
});

it('decodes with weights in codes', async () => {
  const opened = await openModelFolder(folder, quantizations['nf4-double']);
  const decoder = await Decoder.create(opened, frozenMethod(opened.stored), new Map(), testCompileOptions);
  try {
    const [logits] = await decoder.append(0, [golden.rows.at(-1)!.ids]);
    const expected = decodeBase64Floats(golden.logits['nf4-double'].at(-1)!).slice(-opened.model.vocabularySize);
    expect(largestDifference(logits!, expected)).toBeLessThan(1e-4);
  } finally {
    await decoder.release();
  }
});

describe.each(['nf4-double', 'int8'] as const)('%s', (variant) => {
  const engineFor = async (kind: 'whole' | 'segmented') => {
    const opened = await openModelFolder(folder, quantizations[variant]);
    const method = recordedLora(opened, withRuns(variant));
    return createGraphEngine(opened, method, {
      ...testCompileOptions,
      plan: kind === 'whole' ? { kind } : { kind, layersPerSegment: 1 },
      seed: 1,
      values: adapterValues(method, golden.weights.seed),
    });
  };

  it.each(['whole', 'segmented'] as const)('gradients of the adapter, %s plan', async (kind) => {
    const engine = await engineFor(kind);
    try {
      const { lora } = golden[variant];
      const { loss, trainedTokens } = await meanGradients(engine, rows);
      expect(trainedTokens).toBe(lora.trainedTokens);
      expect(Math.abs(loss - lora.loss)).toBeLessThan(1e-5);
      const worst = engine.parameters.map(({ name, gradient }) =>
        relativeDifference(gradient, decodeBase64Floats(lora.gradients[name]!.data)),
      );
      expect(worst).toHaveLength(Object.keys(lora.gradients).length);
      expect(Math.max(...worst)).toBeLessThan(1e-4);
    } finally {
      await engine.release();
    }
  });

  it('losses of fifty steps', async () => {
    const engine = await engineFor('whole');
    try {
      const { losses } = await trainAsRecorded(engine, withRuns(variant));
      expect(largestDifference(losses, golden[variant].training!.losses)).toBeLessThan(1e-3);
    } finally {
      await engine.release();
    }
  });
});
