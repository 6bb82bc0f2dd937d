export { syncFolder, writeAtomically, writeFileAtomically } from './atomic-file.ts';
