export type {
  AttentionSource,
  LinearModule,
  Model,
  ModelReader,
  ModuleGroup,
  ParameterShape,
  ParameterSource,
} from './family.ts';
export { modelTypes, readModel } from './registry.ts';
export { vocabularySizeKey, withVocabulary } from './grown-vocabulary.ts';
