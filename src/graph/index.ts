export { bytesPerElement, type DType } from './dtype.ts';
export { type Dim, elementCount, formatShape, sameShape, type Shape } from './shape.ts';
export { countUses, type Node, type OpAttributes, type OpName, reachableNodes, usersOf } from './node.ts';
export { gradientOf, operations, rebuild } from './operations.ts';
export { joinSiblings } from './siblings.ts';
export { cutNodes, rewrite, substitute } from './transform.ts';
export { gatherEarly } from './gather-early.ts';
export { joinThinProducts } from './join-products.ts';
export { mergeAdapters, mergeGradients } from './merge-adapters.ts';
export { accumulatedProducts } from './accumulated-products.ts';
export { formatNode, printGraph } from './print.ts';
export { Heap, type Tensor as HeapTensor } from './heap.ts';
export { type MeasuredRun, measureRun, peakBytes, runOn, type Schedule, scheduleOf, weightBytes } from './memory.ts';
export { type Bindings, tensorBytes } from './node-blocks.ts';
export {
  type BlockCodes,
  blockCodesSize,
  type EightBitLayout,
  expandedRows,
  type FloatLeaf,
  type FourBitLayout,
  type FourBitType,
  fourBitValues,
  type IntegerLayout,
  type IntegerProducts,
  isIntegerLayout,
  type QuantizedLayout,
  stackedWeights,
} from './quantized.ts';
export { verify } from './verify.ts';
export type { Alibi, ScoreRule } from './score-rule.ts';
export {
  type AttentionBlocks,
  type BlockSizes,
  defaultBlockSizes,
  type HeadCounts,
  headsAtATime,
  planAttentionBlocks,
} from './attention-blocks.ts';
export {
  adaptedMatmul,
  add,
  and,
  causalAttention,
  causalAttentionGradient,
  type BlockLayout,
  type RowLayout,
  rowStretches,
  cast,
  concat,
  constant,
  crossEntropy,
  crossEntropyGradient,
  cut,
  div,
  equal,
  erf,
  exp,
  expand,
  gather,
  gelu,
  greaterOrEqual,
  groupedMatmul,
  groupedOuter,
  groupedWeights,
  input,
  blockCodesMatmul,
  blockCodesWeight,
  integerMatmul,
  jointSoftmax,
  integerWeight,
  layerNorm,
  less,
  log,
  matmul,
  type MatmulOptions,
  mul,
  neg,
  order,
  permuteRows,
  quantizedMatmul,
  quantizedWeight,
  reduceMax,
  reduceMean,
  reduceSum,
  reshape,
  rmsNorm,
  rmsScale,
  rotary,
  scalar,
  scatterAdd,
  sigmoid,
  silu,
  slice,
  softmax,
  sqrt,
  sub,
  sumTo,
  tanh,
  transpose,
  weight,
  where,
} from './ops/index.ts';
