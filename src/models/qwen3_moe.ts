/** Qwen 3 with routed experts: heads normalised, no shared expert. Source: transformers modeling_qwen3_moe.py. */
import { readDecoderConfig } from './decoder-config.ts';
import { decoder } from './decoder.ts';
import type { ModelReader } from './family.ts';
import { qwenExperts } from './qwen2_moe.ts';

export const qwen3Moe: ModelReader = (file, json) =>
  decoder(
    readDecoderConfig(file, json, {
      modelType: 'qwen3_moe',
      defaultPositions: 32_768,
      qkvBias: (reader) => reader.boolean('attention_bias', false),
      outputBias: (reader) => reader.boolean('attention_bias', false),
      headNorm: true,
      windows: (reader, layerCount) => {
        const slides = reader.boolean('use_sliding_window', false);
        const window = slides ? reader.size('sliding_window', 4096) : undefined;
        return Array.from({ length: layerCount }, () => window);
      },
      experts: (reader) => qwenExperts(reader, { count: 128, perToken: 8, size: 768 }),
    }),
  );
