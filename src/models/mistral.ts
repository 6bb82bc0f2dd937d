/** Mistral: Llama with a sliding window over all layers where the config has one. Source: transformers modeling_mistral.py. */
import { readDecoderConfig } from './decoder-config.ts';
import { decoder } from './decoder.ts';
import type { ModelReader } from './family.ts';

export const mistral: ModelReader = (file, json) =>
  decoder(
    readDecoderConfig(file, json, {
      modelType: 'mistral',
      qkvBias: () => false,
      windows: (reader, layerCount) => {
        const absent = reader.json['sliding_window'] === null;
        const window = absent ? undefined : reader.size('sliding_window', 4096);
        return Array.from({ length: layerCount }, () => window);
      },
    }),
  );
