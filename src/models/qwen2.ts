/** Qwen 1.5, 2 and 2.5: Llama with biases on q, k and v. Source: transformers modeling_qwen2.py. */
import { qwenWindows, readDecoderConfig } from './decoder-config.ts';
import { decoder } from './decoder.ts';
import type { ModelReader } from './family.ts';

export const qwen2: ModelReader = (file, json) =>
  decoder(readDecoderConfig(file, json, { modelType: 'qwen2', qkvBias: () => true, windows: qwenWindows }));
