export { hashKey, mix32, permutation, RandomStream } from './hash.ts';
