/**
 * Checkpoints: complete model folders with the state beside them from which a run goes on exactly. One is written under
 * another name, flushed to the disk and renamed, so that a folder named `checkpoint-N` is always whole.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, readFile, rename, rm, stat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RunError } from '../errors.ts';
import {
  openSafetensors,
  readTensor,
  syncFolder,
  tensorFromValues,
  writeJsonFile,
  writeSafetensors,
} from '../formats/index.ts';
import type { Optimizer } from '../optim/index.ts';
import { checkpointName, checkpointStep, isLeftover, runFileNames, partialCheckpointName } from '../run/index.ts';
import type { TrainableTensor } from './engine.ts';
import type { PlanForm } from './plan-form.ts';
import type { LoopState } from './state.ts';

const tensorFile = 'training_state.safetensors';
const stateFile = 'training_state.json';

/** What `training_state.json` holds. */
interface StateFile {
  readonly format: 1;
  readonly runId: string;
  readonly state: LoopState;
  readonly optimizerSteps: number;
  readonly seed: number;
  readonly threads: number;
  readonly form?: PlanForm;
  readonly hashes: Readonly<Record<string, string>>;
  readonly tensorsSha256: string;
  /** Sizes of all other files: a copy that was cut off is recognised. */
  readonly files: Readonly<Record<string, number>>;
}

/** What a checkpoint is made of. */
export interface CheckpointContent {
  readonly runId: string;
  readonly state: LoopState;
  readonly parameters: readonly TrainableTensor[];
  readonly optimizer: Optimizer;
  readonly seed: number;
  readonly threads: number;
  /** The form of the step. */
  readonly form?: PlanForm | undefined;
  readonly hashes: Readonly<Record<string, string>>;
  /** Writes the model's own files (adapter or weights, tokenizer, template) into a folder. */
  readonly saveModel: (folder: string) => Promise<void>;
  /** The object of `trainer_state.json`. */
  readonly trainerState: object;
}

/** A checkpoint that was found whole. */
export interface FoundCheckpoint {
  readonly folder: string;
  readonly runId: string;
  readonly step: number;
  readonly state: LoopState;
  readonly threads: number;
  readonly seed: number;
  /** The form of the step that wrote it; undefined where the model has but one, or Fettle did not say so yet. */
  readonly form: PlanForm | undefined;
  readonly hashes: Readonly<Record<string, string>>;
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const block of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(block as Buffer);
  return hash.digest('hex');
}

async function fileSizes(folder: string): Promise<Record<string, number>> {
  const sizes: Record<string, number> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    sizes[path.slice(folder.length + 1).replaceAll('\\', '/')] = (await stat(path)).size;
  }
  return sizes;
}

/** Flushes every file of a folder, which its own writers may not have done. */
async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) await syncFolder(path);
    if (!entry.isFile()) continue;
    // Windows flushes only what may be written; elsewhere a copy of a read-only file may be read-only too.
    const handle = await open(path, process.platform === 'win32' ? 'r+' : 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
  await syncFolder(folder);
}

/** Moves a folder out of its name first, so that nobody sees it half removed. */
async function removeFolder(runFolder: string, name: string, step: number): Promise<void> {
  const aside = join(runFolder, partialCheckpointName(step, 'removed'));
  await rm(aside, { recursive: true, force: true });
  await rename(join(runFolder, name), aside);
  await rm(aside, { recursive: true, force: true });
}

/** Writes `checkpoint-<step>` of a run folder and returns its name. A checkpoint of that step is replaced. */
export async function writeCheckpointFolder(runFolder: string, content: CheckpointContent): Promise<string> {
  const { state, parameters, optimizer } = content;
  const name = checkpointName(state.step);
  const temporary = join(runFolder, partialCheckpointName(state.step, 'unfinished'));
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  try {
    await content.saveModel(temporary);
    await writeJsonFile(join(temporary, runFileNames.trainerState), content.trainerState);
    const tensors = [
      ...parameters.map(({ name: of, shape, data }) => tensorFromValues(`parameter.${of}`, shape, data)),
      ...optimizer.state().map(({ name: of, data }) => tensorFromValues(of, [data.length], data)),
    ];
    await writeSafetensors(join(temporary, tensorFile), tensors, { format: 'fettle-training-state' });
    const file: StateFile = {
      format: 1,
      runId: content.runId,
      state,
      optimizerSteps: optimizer.stepsTaken,
      seed: content.seed,
      threads: content.threads,
      ...(content.form === undefined ? {} : { form: content.form }),
      hashes: content.hashes,
      tensorsSha256: await sha256(join(temporary, tensorFile)),
      files: await fileSizes(temporary),
    };
    await writeJsonFile(join(temporary, stateFile), file);
    await syncTree(temporary);
    await rename(temporary, join(runFolder, name)).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST' && error.code !== 'EPERM') throw error;
      await removeFolder(runFolder, name, state.step);
      await rename(temporary, join(runFolder, name));
    });
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  await syncFolder(runFolder);
  return name;
}

/** Checkpoint folders of a run, by rising step; whole or not. */
export async function listCheckpoints(runFolder: string): Promise<{ name: string; step: number }[]> {
  const names = await readdir(runFolder).catch(() => []);
  return names
    .map((name) => ({ name, step: checkpointStep(name) }))
    .filter((entry): entry is { name: string; step: number } => entry.step !== undefined)
    .sort((a, b) => a.step - b.step);
}

/**
 * Removes the oldest checkpoints beyond `keep`, but never the best one where `bestStep` names it, nor the newest, from
 * which a run goes on.
 */
export async function rotateCheckpoints(runFolder: string, keep: number, bestStep: number | undefined): Promise<void> {
  const present = await listCheckpoints(runFolder);
  const newest = present.at(-1)?.step;
  let excess = present.length - keep;
  for (const { name, step } of present) {
    if (excess <= 0) return;
    if (step === bestStep || step === newest) continue;
    await removeFolder(runFolder, name, step);
    excess -= 1;
  }
}

/** Removes what killed processes left behind, and checkpoints beyond `lastStep`, which the run will write again. */
export async function removeLeftovers(runFolder: string, lastStep = Number.POSITIVE_INFINITY): Promise<void> {
  for (const name of await readdir(runFolder).catch(() => [])) {
    if (isLeftover(name)) await rm(join(runFolder, name), { recursive: true, force: true });
  }
  for (const { name, step } of await listCheckpoints(runFolder)) {
    if (step > lastStep) await removeFolder(runFolder, name, step);
  }
}

/** Reads the state of a checkpoint folder; a reason where it is not whole. */
export async function inspectCheckpoint(folder: string): Promise<FoundCheckpoint | { readonly problem: string }> {
  let file: StateFile;
  try {
    file = JSON.parse(await readFile(join(folder, stateFile), 'utf8')) as StateFile;
  } catch {
    return { problem: `${stateFile} is missing or no JSON` };
  }
  if (file.format !== 1) return { problem: `${stateFile} has another format than 1` };
  for (const [name, size] of Object.entries(file.files)) {
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found?.size !== size) return { problem: `${name} must be ${size} bytes long, got ${found?.size ?? 'none'}` };
  }
  if ((await sha256(join(folder, tensorFile))) !== file.tensorsSha256) return { problem: `${tensorFile} was changed` };
  const { runId, state, threads, seed, form, hashes } = file;
  return { folder, runId, step: state.step, state, threads, seed, form, hashes };
}

/** The newest whole checkpoint that run `runId` has written, and what is wrong with newer ones that were passed over. */
export async function findCheckpoint(
  runFolder: string,
  runId: string,
): Promise<{ found: FoundCheckpoint | undefined; passedOver: readonly { name: string; problem: string }[] }> {
  const passedOver: { name: string; problem: string }[] = [];
  for (const { name } of (await listCheckpoints(runFolder)).reverse()) {
    const result = await inspectCheckpoint(join(runFolder, name));
    if ('problem' in result) passedOver.push({ name, problem: result.problem });
    else if (result.runId === runId) return { found: result, passedOver };
  }
  return { found: undefined, passedOver };
}

/**
 * Puts the weights, and where an optimiser is given its moments, of a checkpoint back.
 * @throws RunError `checkpoint-missing` if it is of other parameters.
 */
export async function restoreTensors(
  folder: string,
  parameters: readonly TrainableTensor[],
  optimizer?: Optimizer,
): Promise<void> {
  const unfit = (reason: string, cause?: unknown) =>
    new RunError('checkpoint-missing', { where: 'resume', checkpoint: folder, reason }, { cause });
  const file = await openSafetensors(join(folder, tensorFile));
  const read = async (name: string, length: number): Promise<Float32Array> => {
    const entry = file.tensors.get(name);
    if (entry === undefined) throw unfit(`it has no ${name}`);
    const values = await readTensor(entry);
    if (values.length !== length) throw unfit(`${name} holds ${values.length} numbers, not ${length}`);
    return values;
  };
  for (const { name, data } of parameters) data.set(await read(`parameter.${name}`, data.length));
  if (optimizer === undefined) return;
  const state = new Map<string, Float32Array>();
  for (const { name, data } of optimizer.state()) state.set(name, await read(name, data.length));
  const { optimizerSteps } = JSON.parse(await readFile(join(folder, stateFile), 'utf8')) as StateFile;
  optimizer.restore(optimizerSteps, state);
}
