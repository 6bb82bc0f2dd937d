/**
 * Parity with PyTorch, transformers and PEFT on tiny models of each family: what bench/parity/record.py recorded (script,
 * versions and seed stand in each golden), to the tolerances that the project promises.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelFolder } from '../src/checkpoint/index.ts';
import { Decoder, DecodingEngine, generate, greedySampling } from '../src/generate/index.ts';
import { decaysInFullTuning } from '../src/optim/index.ts';
import { float32 } from '../src/runtime/index.ts';
import {
  decodeBase64Floats,
  differenceFromDigest,
  largestDifference,
  relativeDifference,
  type TensorDigest,
} from '../src/testing/index.ts';
import { createGraphEngine } from '../src/train/graph-engine.ts';
import { frozenMethod, fullMethod, type TuningMethod } from '../src/tuning/index.ts';
import { batchLogits } from './support/logits.ts';
import { type GoldenGradients, type GoldenTraining, parityCases, readParityGolden } from './support/parity-golden.ts';
import {
  adapterValues,
  meanGradients,
  openTinyModel,
  recordedLora,
  removeTinyModel,
  testCompileOptions,
  toSequences,
  trainAsRecorded,
} from './support/parity-model.ts';

const tolerance = { logits: 1e-4, gradients: 1e-5, losses: 1e-4, final: 1e-4 };

const plans = {
  whole: { kind: 'whole' },
  segmented: { kind: 'segmented', layersPerSegment: 1, keptLayers: 1 },
  'finely cut': { kind: 'segmented', layersPerSegment: 1, tokensAtOnce: 5, headBytes: 1024, keptIn: 'disk' },
} as const;

describe.each(parityCases())('%s', (name) => {
  const golden = readParityGolden(name);
  const rows = toSequences(golden.rows);
  let opened: ModelFolder;
  beforeAll(async () => {
    opened = await openTinyModel(golden, golden.config);
  });
  afterAll(() => removeTinyModel(opened));

  const engineFor = (method: TuningMethod, plan: keyof typeof plans = 'whole') =>
    createGraphEngine(opened, method, {
      ...testCompileOptions,
      plan: plans[plan],
      // attention in rows and adapters merged; in blocks and apart where nothing is said of the batch
      ...(plan === 'whole' ? { longest: 64, meanTokens: 4096 } : {}),
      seed: 1,
      values: adapterValues(method, golden.weights.seed),
    });

  /** One forward and backward pass against recorded gradients. */
  async function expectGradients<T>(
    method: TuningMethod,
    plan: keyof typeof plans,
    expected: GoldenGradients<T>,
    difference: (name: string, actual: Float32Array, recorded: T) => number,
  ): Promise<void> {
    const engine = await engineFor(method, plan);
    try {
      const { loss, trainedTokens } = await meanGradients(engine, rows);
      expect(trainedTokens).toBe(expected.trainedTokens);
      expect(Math.abs(loss - expected.loss)).toBeLessThan(1e-5);
      expect(engine.parameters.map((parameter) => parameter.name).toSorted()).toEqual(
        Object.keys(expected.gradients).toSorted(),
      );
      const worse = engine.parameters
        .map(({ name: tensor, gradient }) => ({
          tensor,
          by: difference(tensor, gradient, expected.gradients[tensor]!),
        }))
        .filter(({ by }) => !(by <= tolerance.gradients));
      expect(worse).toEqual([]);
    } finally {
      await engine.release();
    }
  }

  /** Fifty steps against the recorded losses and final tensors. */
  async function expectTraining(
    method: TuningMethod,
    expected: GoldenTraining,
    decays?: (name: string) => boolean,
  ): Promise<void> {
    const engine = await engineFor(method);
    try {
      const { losses, gradNorms } = await trainAsRecorded(engine, golden, decays);
      expect(largestDifference(losses, expected.losses)).toBeLessThan(tolerance.losses);
      expect(relativeDifference(gradNorms, expected.gradNorms)).toBeLessThan(1e-4);
      const worse = engine.parameters
        .map(({ name: tensor, data }) => ({ tensor, by: differenceFromDigest(tensor, data, expected.final[tensor]!) }))
        .filter(({ by }) => !(by <= tolerance.final));
      expect(worse).toEqual([]);
    } finally {
      await engine.release();
    }
  }

  const fromDigest = (tensor: string, actual: Float32Array, recorded: TensorDigest) =>
    differenceFromDigest(tensor, actual, recorded);

  it.each(['legacyConfig', 'config'] as const)('logits, config.json as %s', async (form) => {
    const folder = await openTinyModel(golden, golden[form]);
    try {
      const logits = await batchLogits(folder, frozenMethod(folder.stored), rows, {}, testCompileOptions);
      const expected = Float32Array.from(golden.logits.rows.flatMap((row) => [...decodeBase64Floats(row)]));
      expect(largestDifference(logits, expected)).toBeLessThan(tolerance.logits);
    } finally {
      await removeTinyModel(folder);
    }
  });

  it('logits with an adapter', async () => {
    const method = recordedLora(opened, golden);
    const values = adapterValues(method, golden.weights.seed);
    const feeds = Object.fromEntries(
      method.trainables.map(({ name: tensor, shape }) => [tensor, float32(values.get(tensor)!, shape)]),
    );
    const logits = await batchLogits(opened, method, rows.slice(-1), feeds, testCompileOptions);
    expect(largestDifference(logits, decodeBase64Floats(golden.lora.logitsOfLastRow))).toBeLessThan(tolerance.logits);
  });

  it('greedy decoding with a cache', async () => {
    const decoder = await Decoder.create(opened, frozenMethod(opened.stored), new Map(), testCompileOptions);
    const { prompt, ids } = golden.greedy;
    try {
      const [generation] = await generate(new DecodingEngine(decoder, { maxRows: 1 }), {
        promptIds: prompt,
        maxNewTokens: ids.length,
        stopIds: new Set(),
        sampling: greedySampling,
      }).done;
      expect(generation!.ids).toEqual(ids);
    } finally {
      await decoder.release();
    }
  });

  it('logits of the last token after a prompt in two pieces', async () => {
    const decoder = await Decoder.create(opened, frozenMethod(opened.stored), new Map(), testCompileOptions);
    const row = golden.rows.at(-1)!;
    try {
      await decoder.append(0, [row.ids.slice(0, 4)]);
      const [logits] = await decoder.append(0, [row.ids.slice(4)]);
      const expected = decodeBase64Floats(golden.logits.rows.at(-1)!).slice(-opened.model.vocabularySize);
      expect(largestDifference(logits!, expected)).toBeLessThan(tolerance.logits);
    } finally {
      await decoder.release();
    }
  });

  it.each(['whole', 'segmented', 'finely cut'] as const)('LoRA gradients, %s plan', async (plan) => {
    await expectGradients(recordedLora(opened, golden), plan, golden.lora, (_, actual, { data }) =>
      relativeDifference(actual, decodeBase64Floats(data)),
    );
  });

  it.each(['whole', 'segmented', 'finely cut'] as const)('full gradients, %s plan', async (plan) => {
    await expectGradients(fullMethod(opened.model, opened.stored), plan, golden.full, fromDigest);
  });

  const { training, fullTraining, modulesToSave, trainableTokens } = golden;

  if (training) {
    it('fifty steps of AdamW on the adapter', async () => {
      await expectTraining(recordedLora(opened, golden), training);
    });
  }

  if (fullTraining) {
    it('fifty steps of AdamW on all weights', async () => {
      await expectTraining(fullMethod(opened.model, opened.stored), fullTraining, decaysInFullTuning);
    });
  }

  if (modulesToSave) {
    describe('modules_to_save', () => {
      const method = () => recordedLora(opened, golden, { savedModules: ['model.embed_tokens', 'lm_head'] });
      it.each(['whole', 'segmented'] as const)('gradients, %s plan', async (plan) => {
        await expectGradients(method(), plan, modulesToSave, fromDigest);
      });
      it('fifty steps', async () => {
        await expectTraining(method(), modulesToSave);
      });
    });
  }

  if (trainableTokens) {
    describe('trainable_token_indices', () => {
      const method = () =>
        recordedLora(opened, golden, {
          tokenRows: { embedding: trainableTokens.indices, output: [], newIds: [] },
        });
      it.each(['whole', 'segmented'] as const)('gradients, %s plan', async (plan) => {
        await expectGradients(method(), plan, trainableTokens, fromDigest);
      });
      it('fifty steps', async () => {
        await expectTraining(method(), trainableTokens);
      });
    });
  }
});
