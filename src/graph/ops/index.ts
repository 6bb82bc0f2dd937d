export { constant, input, scalar, weight } from './leaves.ts';
export {
  add,
  and,
  cast,
  div,
  equal,
  erf,
  exp,
  gelu,
  greaterOrEqual,
  less,
  log,
  mul,
  neg,
  sigmoid,
  silu,
  sqrt,
  sub,
  tanh,
  where,
} from './elementwise.ts';
export { reduceMax, reduceMean, reduceSum, sumTo } from './reduction.ts';
export { concat, cut, expand, reshape, slice, transpose } from './movement.ts';
export { blockCodesMatmul, blockCodesWeight } from './block-codes-product.ts';
export { integerMatmul, integerWeight, otherWay } from './integer-product.ts';
export { adaptedMatmul, mergedWeight } from './adapted-product.ts';
export { matmul, type MatmulOptions } from './product.ts';
export { quantizedMatmul, quantizedWeight } from './quantized-product.ts';
export { gather, permuteRows, scatterAdd } from './indexing.ts';
export {
  type BlockLayout,
  causalAttention,
  causalAttentionGradient,
  makeAttention,
  type RowLayout,
  rowStretches,
} from './causal-attention.ts';
export {
  crossEntropy,
  crossEntropyGradient,
  jointSoftmax,
  layerNorm,
  rmsNorm,
  rmsScale,
  rotary,
  softmax,
} from './fused.ts';
export { groupedMatmul, groupedOuter, groupedWeights, order } from './grouped-product.ts';
