/**
 * Routed experts beyond parity: frozen experts in codes, every form of a step, dropout, and adapters on some of the experts.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type ModelFolder, openModelFolder, type Quantization } from '../src/checkpoint/index.ts';
import { Decoder, DecodingEngine, generate, greedySampling } from '../src/generate/index.ts';
import {
  dequantizeEightBit,
  dequantizeFourBit,
  dequantizeScales,
  quantizeEightBit,
  quantizeFourBit,
  quantizeScales,
} from '../src/quant/index.ts';
import { largestDifference, relativeDifference, tinyWeight, writeTinyModel } from '../src/testing/index.ts';
import { createGraphEngine } from '../src/train/graph-engine.ts';
import { memoryOf } from '../src/train/memory-plan.ts';
import { frozenMethod, loraMethod, targetModules, type TuningMethod } from '../src/tuning/index.ts';
import { batchLogits } from './support/logits.ts';
import { readParityGolden } from './support/parity-golden.ts';
import { adapterValues, meanGradients, testCompileOptions, toSequences } from './support/parity-model.ts';

const golden = readParityGolden('qwen2-moe');
const rows = toSequences(golden.rows);
const shapes = new Map(Object.entries(golden.weights.shapes));
/** What stays as it is: no linear layer, or one that decides. */
const keptInFloats = /(norm|embed_tokens|lm_head|mlp\.gate|shared_expert_gate)\.weight$/;

const variants: Readonly<Record<string, Quantization>> = {
  nf4: { bits: 4, type: 'nf4', doubleQuantization: true },
  int8: { bits: 8, type: 'nf4', doubleQuantization: true },
};

/** The values that a weight in codes stands for. */
function rounded(name: string, shape: readonly number[], { bits, type }: Quantization): Float32Array {
  const values = tinyWeight(golden.weights.seed, name, shape);
  if (shape.length < 2 || keptInFloats.test(name)) return values;
  if (bits === 8) return dequantizeEightBit(quantizeEightBit(values, shape[1]!), shape[1]!);
  const tensor = quantizeFourBit(values, type);
  const absmax = dequantizeScales(quantizeScales(tensor.absmax));
  return dequantizeFourBit({ codes: tensor.codes, absmax }, type, values.length);
}

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'fettle-experts-'));
  vi.stubEnv('FETTLE_CACHE', join(work, 'cache'));
  await writeTinyModel(join(work, 'base'), { config: golden.config, seed: golden.weights.seed, shapes });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(work, { recursive: true, force: true });
});

const adapterOf = ({ model, stored }: ModelFolder, targets: readonly string[], dropout = 0): TuningMethod =>
  loraMethod(model, stored, {
    dropout,
    modules: targetModules(model, targets).map((module) => ({ ...module, rank: 2, scale: 2 })),
    savedModules: [],
    tokenRows: { embedding: [], output: [], newIds: [] },
  });

const forms = {
  whole: { kind: 'whole' },
  segmented: { kind: 'segmented', layersPerSegment: 1 },
  // layers with experts stay whole where others are cut
  cut: { kind: 'segmented', layersPerSegment: 1, tokensAtOnce: 8, headBytes: 4096 },
} as const;

async function gradients(
  opened: ModelFolder,
  method: TuningMethod,
  form: keyof typeof forms,
): Promise<ReadonlyMap<string, Float32Array>> {
  const engine = await createGraphEngine(opened, method, {
    ...testCompileOptions,
    plan: forms[form],
    seed: 1,
    values: adapterValues(method, 7),
  });
  try {
    await meanGradients(engine, rows);
    return new Map(engine.parameters.map(({ name, gradient }) => [name, gradient.slice()]));
  } finally {
    await engine.release();
  }
}

function worst(actual: ReadonlyMap<string, Float32Array>, expected: ReadonlyMap<string, Float32Array>): number {
  expect([...actual.keys()]).toEqual([...expected.keys()]);
  return Math.max(...[...expected].map(([name, values]) => relativeDifference(actual.get(name)!, values)));
}

describe.each(Object.entries(variants))('experts in %s', (name, quantization) => {
  let plain: ModelFolder;
  let coded: ModelFolder;
  beforeAll(async () => {
    const folder = join(work, name);
    const weights = (tensor: string, shape: readonly number[]): Float32Array => rounded(tensor, shape, quantization);
    await writeTinyModel(folder, { config: golden.config, seed: 0, shapes, weights });
    plain = await openModelFolder(folder);
    coded = await openModelFolder(join(work, 'base'), quantization);
  });

  it('are in codes, routers are not', () => {
    const dtype = (tensor: string) => coded.stored.get(tensor)!.dtype;
    expect(dtype('model.layers.0.mlp.experts.3.up_proj.weight')).toBe(quantization.bits === 8 ? 'int8' : 'nf4');
    expect(dtype('model.layers.0.mlp.gate.weight')).toBe('float32');
    expect(dtype('model.layers.0.mlp.shared_expert_gate.weight')).toBe('float32');
  });

  it('logits, and greedy text with a cache', async () => {
    const logits = (opened: ModelFolder): Promise<Float32Array> =>
      batchLogits(opened, frozenMethod(opened.stored), rows, {}, testCompileOptions);
    expect(largestDifference(await logits(coded), await logits(plain))).toBeLessThan(1e-4);
    const answers: unknown[] = [];
    for (const opened of [coded, plain]) {
      const decoder = await Decoder.create(opened, frozenMethod(opened.stored), new Map(), testCompileOptions);
      const request = { promptIds: golden.greedy.prompt, maxNewTokens: 12, stopIds: new Set<number>() };
      const engine = new DecodingEngine(decoder, { maxRows: 1 });
      const [answer] = await generate(engine, { ...request, sampling: greedySampling }).done;
      answers.push(answer!.ids);
      await engine.release();
    }
    expect(answers[0]).toEqual(answers[1]);
  });

  it.each(Object.keys(forms) as (keyof typeof forms)[])('gradients of an adapter, %s', async (form) => {
    const expected = await gradients(plain, adapterOf(plain, ['all']), 'whole');
    expect(worst(await gradients(coded, adapterOf(coded, ['all']), form), expected)).toBeLessThan(1e-5);
  });
});

describe('adapters of experts', () => {
  it('sit on every linear layer with `all`, routers included, and on some experts by name', async () => {
    const opened = await openModelFolder(join(work, 'base'));
    const names = targetModules(opened.model, ['all']).map((module) => module.name);
    for (const part of ['mlp.gate', 'mlp.experts.4.down_proj', 'mlp.shared_expert.up_proj', 'mlp.shared_expert_gate']) {
      expect(names).toContain(`model.layers.2.${part}`);
    }
    expect(names).not.toContain('lm_head');
    const some = targetModules(opened.model, ['experts.0.gate_proj', 'experts.3.gate_proj']);
    expect(some.map((module) => module.name)).toEqual(
      [0, 2].flatMap((layer) => [0, 3].map((e) => `model.layers.${layer}.mlp.experts.${e}.gate_proj`)),
    );
    // as if the others had an adapter of zeros
    const partial = await gradients(opened, adapterOf(opened, ['experts.0.gate_proj', 'experts.3.gate_proj']), 'whole');
    const method = loraMethod(opened.model, opened.stored, {
      dropout: 0,
      // another rank and scale for one of them, with the same product
      modules: some.map((module, i) => ({ ...module, rank: i % 2 === 0 ? 2 : 3, scale: i % 2 === 0 ? 2 : 4 })),
      savedModules: [],
      tokenRows: { embedding: [], output: [], newIds: [] },
    });
    const uneven = await gradients(opened, method, 'segmented');
    const first = 'model.layers.2.mlp.experts.0.gate_proj.lora_A.weight';
    expect(partial.size).toBe(8);
    expect(uneven.get('model.layers.2.mlp.experts.3.gate_proj.lora_B.weight')).toHaveLength(20 * 3);
    expect(partial.get(first)!.some((value) => value !== 0)).toBe(true);
  });

  it('have dropout masks of their own rows, the same in every form', async () => {
    const opened = await openModelFolder(join(work, 'base'));
    const method = adapterOf(opened, ['all'], 0.5);
    const sites = method.dropoutSites.filter(({ input }) => input.includes('.experts.'));
    expect(sites.map(({ rowsPerToken }) => rowsPerToken)).toEqual(sites.map(() => 2));
    // gate, up and down of the two layers with experts
    expect(sites).toHaveLength(6);
    const whole = await gradients(opened, method, 'whole');
    expect(worst(await gradients(opened, method, 'segmented'), whole)).toBeLessThan(1e-5);
    const without = await gradients(opened, adapterOf(opened, ['all']), 'whole');
    expect(worst(whole, without)).toBeGreaterThan(0.05);
  });

  it('count in the memory plan', async () => {
    const opened = await openModelFolder(join(work, 'base'));
    const batch = { rows: 2, longest: 64, tokens: 128, labelled: 100 };
    const plan = (method: TuningMethod) =>
      Object.values(forms).map((form) => memoryOf(opened.model, method, batch, 8, form).peak);
    const plain = plan(adapterOf(opened, ['q_proj']));
    const all = plan(adapterOf(opened, ['all']));
    all.forEach((peak, i) => expect(peak).toBeGreaterThan(plain[i]!));
  });
});
