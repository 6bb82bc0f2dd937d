export { syncFolder, writeAtomically, writeFileAtomically } from './atomic-file.ts';
export { withModelNames } from './published-names.ts';
export { cachePath } from './cache-folder.ts';
export { isThere } from './is-there.ts';
export { type Checkpoint, openCheckpoint, requireTensor } from './checkpoint.ts';
export { weightsFileName, weightsIndexName } from './weights-names.ts';
export { readCsvTable, type TableLine } from './csv-table.ts';
export { freeDiskBytes, readError, requireDiskSpace, writeError } from './file-errors.ts';
export { type GgmlType, ggmlBlock, ggmlBytes, quantizeGgml } from './gguf-quantize.ts';
export { type GgufTensor, type GgufValue, writeGguf } from './gguf.ts';
export {
  bfloat16ToFloat32,
  decodeFloats,
  encodeFloats,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
  type FloatDtype,
  indexOfNonFinite,
} from './half-floats.ts';
export { editJsonObject } from './json-edit.ts';
export { maxJsonFileBytes, readJsonFile, readJsonObject, readTextFile, writeJsonFile } from './json-file.ts';
export { isJsonObject, type JsonObject, type JsonValue, parseJsonText } from './json-text.ts';
export {
  type Llama2cCheckpoint,
  type Llama2cPiece,
  type Llama2cShape,
  openLlama2cCheckpoint,
  parseLlama2cTokenizer,
  readLlama2cTokenizer,
} from './llama2c.ts';
export {
  type AdapterParameter,
  adapterParameters,
  adapterWeightsName,
  isAdapterFolder,
  type LoraPair,
  loraParameterNames,
  type OpenedPeftAdapter,
  openPeftAdapter,
  type PeftAdapter,
  readLoraPair,
  readPeftAdapter,
  type ShapedValues,
  tokenRowsParameterName,
  type TokenRows,
  trainedValues,
  writePeftAdapter,
} from './peft-adapter.ts';
export {
  adapterConfigName,
  newPeftConfig,
  type NewPeftConfig,
  parsePeftConfig,
  type PeftConfig,
  rankOf,
  readPeftConfig,
  scaleOf,
  writePeftConfig,
} from './peft-config.ts';
export { type ParquetColumnType, type ParquetValues, writeParquet } from './parquet-writer.ts';
export { readPackedBytes } from './row-bytes.ts';
export { type FileRecord, maxRowBytes, maxRowDepth, type RecordFault } from './row-record.ts';
export { readTextRecords, type TextRowFormat } from './row-records.ts';
export { readTableRecords, type TableRowFormat } from './table-records.ts';
export {
  bytesEqual,
  elementCount,
  isFloatDtype,
  openSafetensors,
  readTensor,
  readTensorBytes,
  requireFiniteTensors,
  type RowRange,
  type SafetensorsFile,
  type TensorEntry,
} from './safetensors.ts';
export { storedBytes, type StoredDtype } from './safetensors-header.ts';
export {
  tensorFromEntry,
  tensorFromValues,
  type TensorSource,
  writeCheckpoint,
  writeOrderedSafetensors,
  writeSafetensors,
} from './safetensors-writer.ts';
export { arraySource, type ByteSource, type RemoteFiles } from './byte-source.ts';
export { readTorchTensors, type TorchTensorEntry } from './torch-file.ts';
export { openWeightsFile } from './torch-weights.ts';
export { loadTokenizerFolder } from './tokenizer-files.ts';
export {
  readTensorBoardScalars,
  type TensorBoardOptions,
  type TensorBoardScalar,
  TensorBoardWriter,
} from './tensorboard.ts';
