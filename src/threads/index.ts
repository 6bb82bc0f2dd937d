export { nodeArguments, siblingModule, startWorker } from './module-path.ts';
