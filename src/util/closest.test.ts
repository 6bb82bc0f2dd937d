import { expect, test } from 'vitest';
import { closest, editDistance } from './index.ts';

test('edit distance counts inserts, deletes, replacements and swaps of neighbours', () => {
  expect(editDistance('', 'abc')).toBe(3);
  expect(editDistance('lora_rnak', 'lora_rank')).toBe(1);
  expect(editDistance('kitten', 'sitting')).toBe(3);
});

test('only near names are suggested', () => {
  const names = ['lora_rank', 'lora_alpha', 'learning_rate', 'fp8'];
  expect(closest('lora_rnak', names)).toBe('lora_rank');
  expect(closest('Learning-Rate', names)).toBe('learning_rate');
  expect(closest('foo', names)).toBeUndefined();
  expect(closest('x'.repeat(100_000), names)).toBeUndefined();
});
