/** Where everything stands in a run folder (`output_dir`): the names are the interface to every other program. */
import { join } from 'node:path';

/** Names inside a run folder. */
export const runFileNames = {
  record: 'run.json',
  control: 'control.jsonl',
  log: 'trainer_log.jsonl',
  events: 'events.jsonl',
  output: 'trainer_output.log',
  lock: 'run.lock',
  trainerState: 'trainer_state.json',
  trainResults: 'train_results.json',
  evalResults: 'eval_results.json',
  allResults: 'all_results.json',
  lossPicture: 'training_loss.png',
  lossDrawing: 'training_loss.svg',
} as const;

/** The absolute or relative paths of a run folder's files. */
export type RunPaths = Readonly<Record<keyof typeof runFileNames, string>> & { readonly folder: string };

/** The paths of one run folder. */
export function runPaths(folder: string): RunPaths {
  const paths = Object.fromEntries(Object.entries(runFileNames).map(([key, name]) => [key, join(folder, name)]));
  return { ...(paths as Record<keyof typeof runFileNames, string>), folder };
}

const checkpointPattern = /^checkpoint-(\d{1,15})$/;

/** The name of the checkpoint folder that is written after `step` steps. */
export function checkpointName(step: number): string {
  return `checkpoint-${step}`;
}

/** The step in a checkpoint folder's name, or undefined for any other name. */
export function checkpointStep(name: string): number | undefined {
  const match = checkpointPattern.exec(name);
  return match === null ? undefined : Number(match[1]);
}

const partialPattern = /^(?:unfinished|removed)-checkpoint-\d+-\d+$/;

/** The name under which a checkpoint is written (`unfinished`) or removed; a folder of such a name is never read. */
export function partialCheckpointName(step: number, kind: 'unfinished' | 'removed'): string {
  return `${kind}-checkpoint-${step}-${process.pid}`;
}

/** Whether a name in a run folder is something that a killed process left: half a checkpoint or a temporary file. */
export function isLeftover(name: string): boolean {
  return partialPattern.test(name) || /\.\d+\.[0-9a-f]{8}\.tmp$/.test(name) || /^run\.lock(\.[0-9a-f]{8})+$/.test(name);
}
