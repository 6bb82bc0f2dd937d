import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readParityGolden } from '../../test/support/parity-golden.ts';
import { openCheckpoint, readTensor } from '../formats/index.ts';
import { differenceFromDigest, tensorDigest, tinyWeight, writeTinyModel } from './index.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-tiny-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('writes a sharded checkpoint in the dtype of its config', async () => {
  const golden = readParityGolden('qwen2-tied-bf16');
  const files = await writeTinyModel(folder, {
    config: golden.config,
    seed: golden.weights.seed,
    shards: golden.shards,
  });
  expect(files.filter((name) => name.endsWith('.safetensors')).length).toBeGreaterThanOrEqual(golden.shards);
  const checkpoint = await openCheckpoint(folder);
  expect([...checkpoint.tensors.keys()].toSorted()).toEqual(Object.keys(golden.weights.shapes).toSorted());
  const name = 'model.layers.1.mlp.down_proj.weight';
  const entry = checkpoint.tensors.get(name)!;
  expect(entry.dtype).toBe('BF16');
  const values = await readTensor(entry);
  const exact = tinyWeight(golden.weights.seed, name, entry.shape);
  expect(values.every((value, i) => Math.abs(value - exact[i]!) <= Math.abs(exact[i]!) / 256)).toBe(true);
});

it('a digest shows a change of one element anywhere', () => {
  const shape = [40, 50];
  const values = tinyWeight(1, 'a', shape);
  const digest = tensorDigest('a', shape, values);
  expect(differenceFromDigest('a', values, digest)).toBe(0);
  for (const place of [0, 777, 1999]) {
    const changed = values.slice();
    changed[place]! += 0.01 * digest.norm;
    expect(differenceFromDigest('a', changed, digest)).toBeCloseTo(0.01, 4);
  }
});
