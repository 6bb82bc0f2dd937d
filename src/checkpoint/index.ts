export { fitAdapter, type FittedAdapter } from './adapter.ts';
export { type ModelFolder, openModelFolder, weightLocator } from './model-folder.ts';
