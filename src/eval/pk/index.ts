export type { Ask, Respond } from './participant.ts';
export type { PairResult, PkResults } from './results.ts';
export { type PkEvent, pkFileNames, pkNeeds, type PkOptions, type PkRun, runPk } from './run.ts';
export { parseReview, type ReviewForm } from './review.ts';
