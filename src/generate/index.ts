export { Decoder, type FixedTensors } from './decoder.ts';
export { type Generation, type GenerationRequest, generateMany, generateOne } from './generate.ts';
export { type Answer, type AnswerOptions, type Generator, type GeneratorSettings, openGenerator } from './generator.ts';
export { openModel, type OpenedModel } from './open-model.ts';
export { argmax, type Candidate, candidateTokens, chooseToken, type SamplingSettings } from './sampling.ts';
