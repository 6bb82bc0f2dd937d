import { describe, expect, it } from 'vitest';
import { parityCases, readParityGolden } from '../../test/support/parity-golden.ts';
import { encodeFloats, decodeFloats, type FloatDtype } from '../formats/half-floats.ts';
import { hashKey } from '../util/index.ts';
import { tinyModelShapes, tinyWeight } from './index.ts';

const storedAs: Record<string, FloatDtype> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' };

describe.each(parityCases())('%s', (name) => {
  const golden = readParityGolden(name);

  it.runIf(['llama', 'mistral', 'qwen2', 'qwen3'].includes(String(golden.config['model_type'])))(
    'asks for the tensors that transformers asks for',
    () => {
      const sorted = (entries: Iterable<[string, readonly number[]]>) =>
        [...entries].toSorted(([a], [b]) => (a < b ? -1 : 1));
      const recorded = sorted(Object.entries(golden.weights.shapes));
      expect(sorted(tinyModelShapes(golden.legacyConfig))).toEqual(recorded);
      expect(sorted(tinyModelShapes(golden.config))).toEqual(recorded);
    },
  );

  it('makes the weights that numpy made, bit for bit', () => {
    const dtype = storedAs[String(golden.config['dtype'])]!;
    let checksum = 0;
    for (const tensor of Object.keys(golden.weights.shapes).toSorted()) {
      const values = tinyWeight(golden.weights.seed, tensor, golden.weights.shapes[tensor]!);
      const rounded = new Float32Array(values.length);
      decodeFloats(encodeFloats(values, dtype), dtype, rounded);
      const words = new Uint32Array(rounded.buffer);
      const stride = Math.max(1, Math.floor(words.length / 61));
      for (let i = 0; i < words.length; i += stride) checksum = hashKey(checksum, words[i]!);
    }
    expect(checksum).toBe(golden.weights.checksum);
  });
});
