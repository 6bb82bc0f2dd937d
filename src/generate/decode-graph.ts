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
  newEntries: 'new_entries',
  cacheKeys: (layer: number) => `cache_keys_${layer}`,
  cacheValues: (layer: number) => `cache_values_${layer}`,
} as const;

/** Outputs: logits f32[R, V] of the tokens asked for, and what the caches take of all new tokens, f32[L x N, 2 x K x E], layer by layer. */
export function decodeOutputs(model: Model, source: ParameterSource): Record<string, g.Node> {
  const layout = {
    ...rowLayoutInputs(),
    lengths: g.input(decodeNames.lengths, 'int64', ['B']),
    cacheSteps: g.input(decodeNames.cacheSteps, 'int64', ['C']),
  };
  const entries: g.Node[] = [];
  const biases = new Map<string, g.Node>();
  const { ids: places, rotations } = positionInputs(model.ropes);
  const positions = {
    rotations,
    attend: (layer: number, q: g.Node, k: g.Node, v: g.Node, options: Parameters<typeof cachedAttention>[5]) => {
      const cache = layerCacheInputs(layer, model.kvHeadCount, model.headDim);
      const { mixed, newEntries } = cachedAttention(q, k, v, cache, layout, options, biases);
      entries[layer] = newEntries;
      return mixed;
    },
  };
  let x = model.embed(source, g.input(decodeNames.tokenIds, 'int64', ['N']), places);
  for (let layer = 0; layer < model.layerCount; layer++) x = model.layer(source, positions, layer, x);
  const last = g.gather(x, g.input(decodeNames.lastTokens, 'int64', ['R']));
  return g.joinSiblings({
    [decodeNames.logits]: model.logits(source, last),
    [decodeNames.newEntries]: g.concat(entries, 0, 'LN'),
  });
}
