/** The graph of one decoding step: new tokens of several rows through the model, over their caches. */
import * as g from '../graph/index.ts';
import type { Model, ParameterSource } from '../models/index.ts';
import { cachedAttention, layerCacheInputs, positionInputs, rowLayoutInputs } from '../nn/index.ts';

/** Names of what a step takes and gives. */
export const decodeNames = {
  tokenIds: 'token_ids',
  lengths: 'cache_lengths',
  cacheSteps: 'cache_steps',
  lastTokens: 'last_tokens',
  logits: 'logits',
  newKeys: (layer: number) => `new_keys_${layer}`,
  newValues: (layer: number) => `new_values_${layer}`,
  cacheKeys: (layer: number) => `cache_keys_${layer}`,
  cacheValues: (layer: number) => `cache_values_${layer}`,
} as const;

/** Outputs: logits f32[R, V] of the tokens asked for, and keys and values f32[N, K, E] of all new tokens by layer. */
export function decodeOutputs(model: Model, source: ParameterSource): Record<string, g.Node> {
  const layout = {
    ...rowLayoutInputs(),
    lengths: g.input(decodeNames.lengths, 'int64', ['B']),
    cacheSteps: g.input(decodeNames.cacheSteps, 'int64', ['C']),
  };
  const outputs: Record<string, g.Node> = {};
  const { ids: places, rotations } = positionInputs(model.ropes);
  const positions = {
    rotations,
    attend: (layer: number, q: g.Node, k: g.Node, v: g.Node, options: Parameters<typeof cachedAttention>[5]) => {
      outputs[decodeNames.newKeys(layer)] = k;
      outputs[decodeNames.newValues(layer)] = v;
      const cache = layerCacheInputs(layer, model.kvHeadCount, model.headDim);
      return cachedAttention(q, k, v, cache, layout, options);
    },
  };
  let x = model.embed(source, g.input(decodeNames.tokenIds, 'int64', ['N']), places);
  for (let layer = 0; layer < model.layerCount; layer++) x = model.layer(source, positions, layer, x);
  const last = g.gather(x, g.input(decodeNames.lastTokens, 'int64', ['R']));
  return { [decodeNames.logits]: model.logits(source, last), ...outputs };
}
