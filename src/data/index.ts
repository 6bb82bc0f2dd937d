export { batchCount, type BatchSettings, planBatches } from './batches.ts';
export { checkData, type CheckOptions, type CheckRule, type Finding, fixData, type FixedFile } from './check.ts';
export { repairText } from './repair.ts';
export { type ConvertedRow, convertRow, type DataStage, detectFormat, type RowReading } from './convert-row.ts';
export {
  type Columns,
  type DatasetEntry,
  type DatasetSource,
  defaultColumns,
  openaiTags,
  type RowFormat,
  sharegptTags,
  type Tags,
} from './dataset-entry.ts';
export { encodeConversation, type EncodedConversation, encodePrompt, encodeWithBoundaries } from './encode.ts';
export type { ConversationExample, Example, PairExample, TaggedExample, TextExample } from './example.ts';
export { cutLikeLlamaFactory, inferSeqlen } from './infer-seqlen.ts';
export { type MixedRow, mixRows, type MixStrategy } from './mixing.ts';
export { type InputSettings, withInputProblems } from './input-problems.ts';
export { withModelLength } from './model-length.ts';
export type { Notice } from './notice.ts';
export {
  type Excess,
  fitConversation,
  type FittedRow,
  fitText,
  type LengthLimits,
  type OverlongPolicy,
} from './overlong.ts';
export { packBestFit, packInOrder, type Packs } from './packing.ts';
export { type DataPlan, makePlan, type RowCounts, stepsPerEpoch, totalSteps } from './plan.ts';
export { keepPlannedData, withPlannedData } from './planned-data.ts';
export {
  type EvaluationSet,
  prepareData,
  type PreparedSummary,
  prepareTrainingData,
  type TrainingData,
} from './prepare.ts';
export { type PreviewChoice, type PreviewedRow, previewRows } from './preview.ts';
export { type Mismatch, type MismatchKind, type Proof, proofData } from './proof.ts';
export { type PromptRow, readPromptRows } from './prompt-rows.ts';
export { encodeExample, type EncodedExample, readRows, type ReadRow } from './read-rows.ts';
export { readEntry, registryFileName, resolveDatasets, rowFileFormat } from './registry.ts';
export { createRowEncoder, type EncodedRow, type RowEncoder } from './row-encoder.ts';
export { type DropRule, type FormRule, formRules, type RowPlace, type RowProblem, problemText } from './row.ts';
export { packedSamples, type SampleSet, singleSamples, streamSamples } from './sample-set.ts';
export { type SequenceStore, SequenceStoreBuilder } from './sequence-store.ts';
export { ignoredLabel, type Sample, type Sequence } from './sequence.ts';
export type { DataSettings } from './settings.ts';
export { dataStats, type DatasetStats, type DataStats, languageOf, type Summary } from './stats.ts';
export { requireModelTemplate } from './template-match.ts';
export { newTokenIds, openTextTools, savedTemplateName, type TextSettings, type TextTools } from './text-tools.ts';
export { registerConverter, type RowConverter } from './converters.ts';
