export { hashKey, mix32, permutation, RandomStream } from './hash.ts';
export { syncFolder, writeAtomically, writeFileAtomically } from './files.ts';
