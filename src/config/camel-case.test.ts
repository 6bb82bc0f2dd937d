import { expect, test } from 'vitest';
import { configKeys, toCamelCase, toSnakeCase } from './index.ts';

test('the mapping is mechanical and goes both ways for every key', () => {
  expect(toCamelCase('per_device_train_batch_size')).toBe('perDeviceTrainBatchSize');
  expect(configKeys.filter((key) => toSnakeCase(toCamelCase(key)) !== key)).toEqual([]);
});
