/** Tensors that are given back leave memory without the collector. */
import { setImmediate as turn } from 'node:timers/promises';
import { memoryUsage } from 'node:process';
import { expect, it } from 'vitest';
import { giveBack } from './garbage.ts';
import { float32, int64 } from './tensor.ts';

it('frees tensors at once, and takes those that are gone already', async () => {
  const tensor = float32(new Float32Array(4 << 20).fill(1), [4 << 20]);
  const before = memoryUsage().arrayBuffers;
  const kept = int64([1, 2]);
  giveBack([tensor, undefined, tensor, float32(new Float32Array(0), [0])]);
  for (let i = 0; i < 3; i++) await turn();
  expect(tensor.data).toHaveLength(0);
  expect(kept.data).toEqual(BigInt64Array.of(1n, 2n));
  expect(before - memoryUsage().arrayBuffers).toBeGreaterThan(15 << 20);
  // from then on without a turn of the event loop
  const next = float32(new Float32Array(4 << 20).fill(1), [4 << 20]);
  const standing = memoryUsage().arrayBuffers;
  giveBack([next]);
  expect(standing - memoryUsage().arrayBuffers).toBeGreaterThan(15 << 20);
});
