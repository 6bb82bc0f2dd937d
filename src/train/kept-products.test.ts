/** What segments leave for their backward pass; that gradients stay the same is shown by test/parity.test.ts. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readParityGolden } from '../../test/support/parity-golden.ts';
import { openTinyModel, recordedLora, removeTinyModel } from '../../test/support/parity-model.ts';
import type { ModelFolder } from '../checkpoint/index.ts';
import * as g from '../graph/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { valuesPerToken } from './kept-products.ts';
import { choosePlan } from './choose-plan.ts';
import { memoryOf } from './memory-plan.ts';
import type { SegmentedForm } from './plan-form.ts';
import { type Outputs, segmentBodies, segmentOf } from './segments.ts';

let opened: ModelFolder;
let method: TuningMethod;
beforeAll(async () => {
  const golden = readParityGolden('llama-grouped-tied');
  opened = await openTinyModel(golden, golden.config);
  method = recordedLora(opened, golden);
});
afterAll(() => removeTinyModel(opened));

/** Products of rows with matrices. */
const products = (outputs: Outputs): number =>
  g
    .reachableNodes(Object.values(outputs))
    .filter(({ op, shape }) => (op === 'matmul' || op === 'adaptedMatmul') && shape[0] === 'N').length;

it('keeps results of products, and the backward pass multiplies no more for what was there', () => {
  for (const mergedWidth of [0, 4096]) {
    const body = segmentBodies(opened.model, method, 1, true, { attention: 'rows', mergedWidth })[2]!;
    const [again, keeping] = [false, true].map((keeps) => segmentOf(body, false, method, keeps)) as [
      ReturnType<typeof segmentOf>,
      ReturnType<typeof segmentOf>,
    ];
    expect(again.kept).toEqual([]);
    // query, key and value, the sum after attention, gate and up: what the last product gives is the result itself
    const wide = keeping.kept.filter((name) => valuesPerToken(keeping.forward[name]!) > 8);
    expect(wide).toHaveLength(6);
    // six modules, and as many adapters where they are not merged
    expect(products(again.backward!) - products(keeping.backward!)).toBeGreaterThanOrEqual(6);
    expect(Object.keys(keeping.backward!)).toEqual(Object.keys(again.backward!));
  }
});

it('the plan keeps products of as many segments as fit, then takes layers into the tail', () => {
  const batch = { rows: 4, longest: 256, tokens: 1024, labelled: 512 };
  const form = { kind: 'segmented', layersPerSegment: 1 } as const;
  const layers = opened.model.layerCount;
  const peak = (more: object): number => memoryOf(opened.model, method, batch, 8, { ...form, ...more }).peak;
  const [least, one, all] = [0, 1, layers].map((keptLayers) => peak({ keptLayers })) as [number, number, number];
  expect(one).toBeGreaterThan(least);
  expect(all).toBeGreaterThan(one);
  const chosen = (limit: number) => choosePlan(opened.model, method, batch, 8, limit, true).form;
  expect(chosen(one)).toEqual({ ...form, keptLayers: 1 });
  const { keptLayers, tailLayers = 0 } = chosen(all) as SegmentedForm;
  expect(keptLayers! + tailLayers).toBe(layers);
});
