export type { StoredWeight } from './frozen.ts';
export { loraScale, type LoraSettings } from './lora.ts';
export type { DropoutSite, Start, Trainable, TuningMethod } from './method.ts';
export { frozenMethod, fullMethod, loraMethod, type LoraMethodSettings, type StoredWeights } from './methods.ts';
export { shortNames, targetModules } from './targets.ts';
export { tokenRowInput } from './token-rows.ts';
