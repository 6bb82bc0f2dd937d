export { lowerGraph, type LoweredGraph, type WeightBytes } from './lower.ts';
export type { Provider } from './writer.ts';
