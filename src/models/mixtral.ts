/** Mixtral: Mistral with eight experts in place of the MLP, two for each token. Source: transformers modeling_mixtral.py. */
import { readDecoderConfig } from './decoder-config.ts';
import { decoder } from './decoder.ts';
import { readPerToken, refuseBalancingLoss } from './expert-mlp.ts';
import type { ModelReader } from './family.ts';

export const mixtral: ModelReader = (file, json) =>
  decoder(
    readDecoderConfig(file, json, {
      modelType: 'mixtral',
      defaultTheta: 1_000_000,
      defaultPositions: 131_072,
      defaultEpsilon: 1e-5,
      qkvBias: () => false,
      windows: (reader, layerCount) => {
        const has = typeof reader.json['sliding_window'] === 'number';
        const window = has ? reader.size('sliding_window') : undefined;
        return Array.from({ length: layerCount }, () => window);
      },
      experts: (reader) => {
        refuseBalancingLoss(reader);
        const jitter = reader.json['router_jitter_noise'];
        if (jitter !== undefined && jitter !== 0) reader.unsupported('router_jitter_noise', jitter, '0');
        const count = reader.size('num_local_experts', 8);
        return {
          block: 'block_sparse_moe',
          names: { gate: 'w1', up: 'w3', down: 'w2' },
          count,
          perToken: readPerToken(reader, count, 2),
          intermediateSize: reader.size('intermediate_size'),
          normalizes: true,
          sharedSize: undefined,
          inLayer: () => true,
        };
      },
    }),
  );
