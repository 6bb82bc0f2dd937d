export {
  type Choice,
  type ChoicePlace,
  generate,
  type Generation,
  type GenerationHandle,
  type GenerationRequest,
  plainChooser,
  type TokenChooser,
} from './answers.ts';
export type { BeamSuppression } from './beam-suppression.ts';
export { beamRows, type BeamSettings } from './beams.ts';
export { Decoder, type FixedTensors } from './decoder.ts';
export { Distribution, distributionOf, type DistributionSettings, logSumExp } from './distribution.ts';
export {
  DecodingEngine,
  type DecodingStrategy,
  type EngineEnd,
  type EngineHandle,
  type EngineLimits,
  type EngineRequest,
  type RowMove,
} from './engine.ts';
export { type Answer, type AnswerOptions, endsWithText, type Generator, openGenerator } from './generator.ts';
export { beamsOf, type GeneratorSettings, samplingOf, suppressionsOf } from './generator-settings.ts';
export { type InferDtype, openModel, type OpenedModel } from './open-model.ts';
export {
  argmax,
  type DrawKey,
  drawNumber,
  drawsTokens,
  greedySampling,
  nextDistribution,
  processedLogits,
  type SamplingSettings,
} from './sampling.ts';
export { type ScoredTokens, type ScoreRequest, scoreTokens } from './score.ts';
export { StopFilter } from './stop-filter.ts';
export type { Suppression, SuppressionReport } from './suppressed-text.ts';
export { SuppressingChooser } from './suppression.ts';
export { TokenHistory } from './token-history.ts';
export type { TokenLogprobs } from './token-logprobs.ts';
export { VocabularyIndex } from './vocabulary-index.ts';
