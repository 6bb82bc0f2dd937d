import { expect, test } from 'vitest';
import { largestDifference } from '../testing/index.ts';
import { dequantizeBlocks, quantizeBlocks } from './block-codes.ts';

const values = Float32Array.from({ length: 3 * 70 }, (_, i) => Math.sin(i * 1.7) * (1 + (i % 7)));

test.each([
  [4, 1 / 8],
  [8, 1 / 254],
] as const)('%i bits: every value within half a step of its block, short last blocks included', (bits, halfStep) => {
  const tensor = quantizeBlocks(values, 70, bits);
  expect(tensor.scales).toHaveLength(3 * 3);
  expect(tensor.codes).toHaveLength((3 * 3 * 32 * bits) / 8);
  const back = dequantizeBlocks(tensor, 70, bits);
  expect(largestDifference(back, values)).toBeLessThan(7 * halfStep * (bits === 4 ? 1 : 1.01));
});

test('the value of largest magnitude is kept, zeros stay zeros, and 4-bit codes lie low half first', () => {
  const row = new Float32Array(32);
  row[0] = -4;
  row[1] = 1;
  const { codes, scales } = quantizeBlocks(row, 32, 4);
  expect([...scales]).toEqual([0.5]);
  expect([...codes.subarray(0, 2)]).toEqual([0x00 | ((8 + 2) << 4), 0x88]);
  expect([...dequantizeBlocks({ codes, scales }, 32, 4)]).toEqual([...row]);
  expect([...quantizeBlocks(new Float32Array(32), 32, 8).codes]).toEqual(Array(32).fill(128));
});
