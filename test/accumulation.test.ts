/**
 * The same eight rows in whatever batches: at once, one by one, in two batches grouped by length, shuffled, padded. The
 * loss and the gradients of the accumulation window must not depend on it.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelFolder } from '../src/checkpoint/index.ts';
import type { Sequence } from '../src/data/index.ts';
import { relativeDifference } from '../src/testing/index.ts';
import type { TrainEngine } from '../src/train/engine.ts';
import { createGraphEngine, type GraphEngineOptions } from '../src/train/graph-engine.ts';
import { fullMethod } from '../src/tuning/index.ts';
import { hashKey, mix32, permutation } from '../src/util/index.ts';
import { readParityGolden } from './support/parity-golden.ts';
import {
  adapterValues,
  openTinyModel,
  recordedLora,
  removeTinyModel,
  testCompileOptions,
} from './support/parity-model.ts';

const lengths = [3, 31, 8, 17, 5, 24, 2, 12];

/** Rows with between one and all labels trained, so that a mean of means would be wrong. */
function makeRows(vocabularySize: number): Sequence[] {
  return lengths.map((length, row) => {
    const key = hashKey('accumulation', row);
    const inputIds = Int32Array.from({ length }, (_, t) => mix32(key, t) % vocabularySize);
    const prompt = row % 3 === 0 ? 0 : row % 3 === 1 ? length - 1 : length >> 1;
    return { inputIds, labels: inputIds.map((id, t) => (t < prompt ? -100 : id)), row };
  });
}

/** Pads on the right to `length`, as collators do that pad. */
function padded(sequence: Sequence, length: number): Sequence {
  const inputIds = new Int32Array(length);
  inputIds.set(sequence.inputIds);
  const labels = new Int32Array(length).fill(-100);
  labels.set(sequence.labels);
  return { ...sequence, inputIds, labels };
}

function inBatchesOf(rows: readonly Sequence[], size: number): Sequence[][] {
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => rows.slice(i * size, (i + 1) * size));
}

const byLength = (rows: readonly Sequence[]) => rows.toSorted((a, b) => a.inputIds.length - b.inputIds.length);
const shuffled = (rows: readonly Sequence[]) => Array.from(permutation(rows.length, 7), (place) => rows[place]!);
const longest = Math.max(...lengths);

const arrangements: Record<string, (rows: readonly Sequence[]) => Sequence[][]> = {
  'one by one': (rows) => inBatchesOf(rows, 1),
  'two of four': (rows) => inBatchesOf(rows, 4),
  'a short last batch': (rows) => inBatchesOf(rows, 3),
  'grouped by length': (rows) => inBatchesOf(byLength(rows), 4),
  'longest first': (rows) => inBatchesOf(byLength(rows).toReversed(), 2),
  shuffled: (rows) => [shuffled(rows)],
  padded: (rows) => [rows.map((row) => padded(row, longest))],
  'padded, one by one': (rows) =>
    inBatchesOf(
      rows.map((row) => padded(row, longest)),
      1,
    ),
};

const plans: Record<string, GraphEngineOptions['plan']> = {
  whole: { kind: 'whole' },
  segmented: { kind: 'segmented', layersPerSegment: 1 },
  'segments with a tail': { kind: 'segmented', layersPerSegment: 1, tailLayers: 1 },
};

interface Window {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

describe.each([
  ['llama-grouped-tied', 'lora'],
  ['llama-grouped-tied', 'full'],
  ['mistral', 'lora'],
  ['qwen3', 'lora'],
] as const)('%s, %s', (name, tuning) => {
  const golden = readParityGolden(name);
  let opened: ModelFolder;
  let rows: Sequence[];
  let reference: Window;
  const engines = new Map<string, TrainEngine>();
  beforeAll(async () => {
    opened = await openTinyModel(golden, golden.config);
    const method = tuning === 'full' ? fullMethod(opened.model, opened.stored) : recordedLora(opened, golden);
    rows = makeRows(opened.model.vocabularySize);
    for (const [plan, kind] of Object.entries(plans)) {
      const values = adapterValues(method, golden.weights.seed);
      engines.set(
        plan,
        await createGraphEngine(opened, method, { ...testCompileOptions, plan: kind, seed: 1, values }),
      );
    }
    reference = await run([rows], 'whole');
  });
  afterAll(async () => {
    for (const engine of engines.values()) await engine.release();
    await removeTinyModel(opened);
  });

  async function run(batches: readonly (readonly Sequence[])[], plan: string): Promise<Window> {
    const engine = engines.get(plan)!;
    for (const { gradient } of engine.parameters) gradient.fill(0);
    let lossSum = 0;
    let weightSum = 0;
    for (const [microBatch, batch] of batches.entries()) {
      const sums = await engine.accumulate(batch, { seed: 1, step: 0, microBatch });
      lossSum += sums.lossSum;
      weightSum += sums.weightSum;
    }
    return {
      loss: lossSum / weightSum,
      gradients: new Map(engine.parameters.map((parameter) => [parameter.name, parameter.gradient.slice()])),
    };
  }

  // The plans differ below the batch: a few arrangements say enough about the second.
  const cases = [
    ...Object.keys(arrangements).map((arrangement) => [arrangement, 'whole'] as const),
    ...['all at once', 'one by one', 'grouped by length'].map((arrangement) => [arrangement, 'segmented'] as const),
    ['all at once', 'segments with a tail'] as const,
  ];
  it.each(cases)('%s, %s plan', async (arrangement, plan) => {
    const batches = arrangements[arrangement]?.(rows) ?? [rows];
    const actual = await run(batches, plan);
    expect(Math.abs(actual.loss - reference.loss)).toBeLessThan(1e-6 * Math.abs(reference.loss));
    for (const [tensor, gradient] of reference.gradients) {
      const difference = relativeDifference(actual.gradients.get(tensor)!, gradient);
      expect(difference, tensor).toBeLessThan(1e-5);
    }
  });
});
