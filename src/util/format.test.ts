import { expect, test } from 'vitest';
import { formatBytes, formatCount, formatDuration, formatNumber } from './index.ts';

test('numbers are written as people read them', () => {
  expect([0, 999, 1000, 1_500_000, 999_999_999, 2.25e9, 5e15].map(formatBytes)).toEqual([
    '0 bytes',
    '999 bytes',
    '1.00 kB',
    '1.50 MB',
    '1.00 GB',
    '2.25 GB',
    '5.00e+3 TB',
  ]);
  expect([0, 999, 1000, 1234567].map(formatCount)).toEqual(['0', '999', '1,000', '1,234,567']);
  expect([0, 59.6, 3_725, 360_000].map(formatDuration)).toEqual(['0:00:00', '0:01:00', '1:02:05', '100:00:00']);
  expect([0, 1.23456, 0.00005, 123456, 1e9, Number.NaN].map(formatNumber)).toEqual([
    '0',
    '1.235',
    '5e-5',
    '123500',
    '1e9',
    'NaN',
  ]);
});
