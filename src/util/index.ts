export { closest, editDistance } from './closest.ts';
export { hashKey, mix32, permutation, RandomStream } from './hash.ts';
