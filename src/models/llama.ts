/** Llama 1, 2, 3, 3.1, 3.2 and all that publish under `model_type: llama`. Source: transformers modeling_llama.py. */
import { readDecoderConfig } from './decoder-config.ts';
import { decoder } from './decoder.ts';
import type { ModelReader } from './family.ts';

export const llama: ModelReader = (file, json) =>
  decoder(
    readDecoderConfig(file, json, {
      modelType: 'llama',
      qkvBias: (reader) => reader.boolean('attention_bias', false),
      outputBias: (reader) => reader.boolean('attention_bias', false),
      mlpBias: (reader) => reader.boolean('mlp_bias', false),
    }),
  );
