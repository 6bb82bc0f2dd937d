import { expect, test } from 'vitest';
import type { RowSnapshot } from './decoder.ts';
import { commonLength, PrefixStore } from './prefix-store.ts';

const snapshot = (ids: readonly number[], adapter?: string): RowSnapshot => ({
  ids,
  adapter,
  prompted: ids.length,
  bytes: 10 * ids.length,
  cache: { length: ids.length, keys: [], values: [] },
});

test('keeps the lately used, each beginning once, within its bytes', () => {
  const store = new PrefixStore(100);
  const keep = (ids: readonly number[], adapter?: string): void =>
    store.keep(ids, adapter, () => snapshot(ids, adapter));
  const best = (ids: readonly number[]): number | undefined =>
    store.best((entry) => (entry.adapter === undefined ? commonLength(entry.ids, ids) : 0))?.length;
  keep([1, 2, 3]);
  keep([1, 2, 3, 4]);
  expect(store.bytes).toBe(40);
  keep([1, 2]);
  expect(store.bytes).toBe(40);
  keep([5, 6, 7]);
  keep([1, 2], 'adapter');
  expect(store.bytes).toBe(90);
  expect(best([1, 2, 3, 9])).toBe(3);
  // 5 6 7 was used longest ago
  keep([8, 8]);
  expect(best([5, 6, 7])).toBeUndefined();
  expect(best([1, 2, 3, 4])).toBe(4);
  store.drop('adapter');
  expect(store.bytes).toBe(60);
  keep(Array.from({ length: 11 }, (_, i) => i));
  expect(store.bytes).toBe(60);
});
