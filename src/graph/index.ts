export { bytesPerElement, type DType } from './dtype.ts';
export { type Dim, elementCount, formatShape, sameShape, type Shape } from './shape.ts';
export { type Node, type OpAttributes, type OpName, reachableNodes } from './node.ts';
export { gradientOf, operations, rebuild } from './operations.ts';
export { cutNodes, substitute } from './transform.ts';
export { formatNode, printGraph } from './print.ts';
export { type Bindings, peakBytes, tensorBytes, weightBytes } from './memory.ts';
export {
  type EightBitLayout,
  expandedRows,
  type FourBitLayout,
  type FourBitType,
  fourBitValues,
  type QuantizedLayout,
} from './quantized.ts';
export { verify } from './verify.ts';
export {
  add,
  and,
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
  input,
  layerNorm,
  less,
  log,
  matmul,
  type MatmulOptions,
  mul,
  neg,
  permuteRows,
  quantizedMatmul,
  quantizedWeight,
  reduceMax,
  reduceMean,
  reduceSum,
  reshape,
  rmsNorm,
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
