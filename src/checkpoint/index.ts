export { fitAdapter, type FittedAdapter } from './adapter.ts';
export { type ModelFolder, openModelFolder, openWeights } from './model-folder.ts';
export { type Quantization, quantizationOf, type QuantizationSettings } from './quantization.ts';
