/** Qwen 3 (dense): heads of their own size, query and key heads normalised. Source: transformers modeling_qwen3.py. */
import { qwenWindows, readDecoderConfig } from './decoder-config.ts';
import { decoder } from './decoder.ts';
import type { ModelReader } from './family.ts';

export const qwen3: ModelReader = (file, json) => {
  const config = readDecoderConfig(file, json, {
    modelType: 'qwen3',
    qkvBias: (reader) => reader.boolean('attention_bias', false),
    outputBias: (reader) => reader.boolean('attention_bias', false),
    headNorm: true,
    windows: qwenWindows,
  });
  const hasHeadDim = typeof (json as { head_dim?: unknown }).head_dim === 'number';
  // transformers' default, not hidden_size / heads
  return decoder(hasHeadDim ? config : { ...config, headDim: 128, rope: { ...config.rope, dimensions: 128 } });
};
