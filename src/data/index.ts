export type { Sample, Sequence } from './sequence.ts';
