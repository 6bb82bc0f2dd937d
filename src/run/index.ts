export { hashFiles, hashNamedFiles } from './content-hash.ts';
export {
  type ControlCommand,
  type ControlReader,
  type ControlSettings,
  openControl,
  parseControl,
  sendControl,
} from './control.ts';
export {
  type EvalResults,
  type FollowOptions,
  followRun,
  isFinalEvent,
  type LogLine,
  type PlanEntry,
  type TrainEvent,
  type TrainResults,
} from './events.ts';
export { filterJsonLines, type JsonLinesWriter, openJsonLines, readJsonLines } from './json-lines.ts';
export { type RunKeeper, startKeeper } from './keeper.ts';
export {
  checkpointName,
  checkpointStep,
  isLeftover,
  runFileNames,
  type RunPaths,
  runPaths,
  partialCheckpointName,
} from './layout.ts';
export { acquireRunLock, type RunLock, runLockHolder } from './lock.ts';
export { memoryKillCount, peakMemoryBytes } from './memory.ts';
export { isRunning, type ProcessIdentity, processIdentity } from './process-identity.ts';
export { isUnfinished, type ObeyedControl, readRunRecord, type RunRecord, type RunState } from './record.ts';
export { mappedFromBytes, spawnModule, withAllocatorSettings } from './spawn.ts';
