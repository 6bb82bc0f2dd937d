export type { AttentionSource, LinearModule, Model, ModelReader, ParameterShape, ParameterSource } from './family.ts';
export { modelTypes, readModel } from './registry.ts';
