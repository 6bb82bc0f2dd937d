export {
  frequencyLength,
  inverseFrequencies,
  type RopeConfig,
  type RopeScaling,
  type RopeTables,
  ropeTables,
} from './rope.ts';
export {
  type Positions,
  positionInputs,
  type PositionValues,
  positionValues,
  type Rotation,
  turn,
} from './positions.ts';
export { alibiSlopes, softCapped } from './scores.ts';
export { attention, type AttentionOptions, squareAttention } from './attention.ts';
export { blockLayoutInputs, blockLayoutValues } from './block-layout.ts';
export { type RowLayout, rowLayoutInputs, shortestRow } from './head-rows.ts';
export { type LabelledRows, labelledRowInputs, weightedCrossEntropy } from './loss.ts';
export { cachedAttention, type CacheLayout, type LayerCache, layerCacheInputs } from './cached-attention.ts';
export { routeToExperts, type Routing, rowsForExperts, sumOverExperts } from './routing.ts';
