export { type ModelFolder, openModelFolder, weightLocator } from './model-folder.ts';
