export { dequantizeEightBit, eightBitStep, type EightBitTensor, quantizeEightBit } from './eight-bit.ts';
export { dequantizeFourBit, fourBitBlockSize, type FourBitTensor, quantizeFourBit } from './four-bit.ts';
export { dequantizeScales, dynamicMap, nestedBlockSize, type NestedScales, quantizeScales } from './nested-scales.ts';
export { type BlockCodesTensor, dequantizeBlocks, quantizeBlocks } from './block-codes.ts';
