export { type FloatWeight, integerHeadName, isBlockCodes, isQuantized, type StoredWeight } from './frozen.ts';
export { type LoraModule, loraNames, loraScale, type LoraSettings } from './lora.ts';
export type { DropoutSite, Start, Trainable, TuningMethod } from './method.ts';
export {
  frozenAdapterPrefix,
  frozenMethod,
  fullMethod,
  loraMethod,
  type LoraMethodSettings,
  type StoredWeights,
  type TokenRowChoice,
} from './methods.ts';
export { shortNames, targetModules, wholeModules } from './targets.ts';
export { storedTokenIds, tokenRowInputs, tokenRowName } from './token-rows.ts';
