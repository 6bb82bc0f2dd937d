export { type BlockBits, type BlockCodesWeights, openBlockCodes } from './block-codes.ts';
export { fitAdapter, type FittedAdapter } from './adapter.ts';
export type { IntegerForm } from './integer-weights.ts';
export { type ModelFolder, openModelFolder, openWeights, withVocabularyRows } from './model-folder.ts';
export { codeSources, type OnCodes, type StreamedWeight } from './quantized-cache.ts';
export { type Quantization, quantizationOf, type QuantizationSettings } from './quantization.ts';
export { quantizationError } from './quantization-error.ts';
