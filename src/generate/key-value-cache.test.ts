/** The room of the caches: it grows, shrinks after a long row, and what rows hold stays. */
import { expect, it } from 'vitest';
import { KeyValueCache } from './key-value-cache.ts';

const [layers, groups, size] = [2, 2, 4];
const entryOf = (row: number, token: number): Float32Array =>
  Float32Array.from({ length: 2 * groups * size }, (_, i) => 10_000 * row + 10 * token + i / 100);

it('gives the room of a long row back when all that is left is short, and keeps the rest', () => {
  const cache = new KeyValueCache(layers, groups, size);
  const lengths = [5, 2000, 3];
  cache.reserve(3, 2000, []);
  lengths.forEach((length, row) => {
    for (let layer = 0; layer < layers; layer++) {
      for (let token = 0; token < length; token++) cache.write(layer, row, token, entryOf(row, token), 0, 1);
    }
  });
  const before = [cache.snapshot(0, 5), cache.snapshot(2, 3)];
  const roomOf = (): number => cache.feeds(0, 1)['cache_steps']!.shape[0]!;
  expect(roomOf()).toBeGreaterThanOrEqual(2000);

  cache.reserve(1, 6, lengths);
  expect(roomOf()).toBeGreaterThanOrEqual(2000);
  cache.reserve(1, 6, [5, 0, 3]);
  expect(roomOf()).toBe(64);
  expect([cache.snapshot(0, 5), cache.snapshot(2, 3)]).toEqual(before);

  cache.reserve(4, 700, [5, 0, 3]);
  expect(roomOf()).toBe(704);
  expect([cache.snapshot(0, 5), cache.snapshot(2, 3)]).toEqual(before);
});
