export { exportModel, type ExportModelOptions, type ExportProgress, type ExportResult } from './export-model.ts';
export { convertLlama2c, type ConvertLlama2cOptions } from './from-llama2c.ts';
export { exportGguf, type ExportGgufOptions, type ExportGgufResult } from './to-gguf.ts';
export { quantizedBase, type QuantizedBase } from './quantized-base.ts';
