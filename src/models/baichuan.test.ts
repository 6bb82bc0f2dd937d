/** The head of Baichuan 2, whose rows are normalised: in stretches, and without a second table in memory. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readParityGolden } from '../../test/support/parity-golden.ts';
import { openTinyModel, recordedLora, removeTinyModel } from '../../test/support/parity-model.ts';
import type { ModelFolder } from '../checkpoint/index.ts';
import * as g from '../graph/index.ts';
import { headChunks } from '../train/head-chunks.ts';
import { frozenMethod } from '../tuning/index.ts';

const golden = readParityGolden('baichuan2-alibi');
let opened: ModelFolder;
beforeAll(async () => {
  opened = await openTinyModel(golden, golden.config);
});
afterAll(() => removeTinyModel(opened));

it('is cut into stretches of the vocabulary', () => {
  const chunks = headChunks(opened.model, recordedLora(opened, golden), 4096);
  expect(chunks?.stretches.length).toBeGreaterThan(1);
});

it('needs no memory of the size of its table beside logits', () => {
  const source = frozenMethod(opened.stored).source(false);
  const logits = opened.model.logits(source, g.input('x', 'float32', ['R', opened.model.hiddenSize]));
  const { vocabularySize, hiddenSize } = opened.model;
  const peak = g.peakBytes([logits], { R: 1 });
  expect(peak).toBeLessThan(vocabularySize * hiddenSize * 4);
});
