/** What becomes of a run folder when a training starts in it: fresh, continued, replaced or refused (contract, article 21). */
import { readdir } from 'node:fs/promises';
import { compareForResume, type FettleConfig } from '../config/index.ts';
import { RunError } from '../errors.ts';
import { checkpointStep, readRunRecord, runFileNames, type RunRecord } from '../run/index.ts';
import { findCheckpoint, type FoundCheckpoint, inspectCheckpoint } from './checkpoint.ts';

/** How a run begins. */
export type Start =
  | {
      readonly kind: 'fresh';
      /** A checkpoint, of another run or folder, whose state is taken over. */
      readonly from?: FoundCheckpoint;
      /** The key by which an unfinished run that is replaced differs. */
      readonly replaces?: string;
    }
  | {
      readonly kind: 'resume';
      readonly record: RunRecord;
      /** Undefined where the run was ended before its first checkpoint: it begins again. */
      readonly checkpoint: FoundCheckpoint | undefined;
      readonly passedOver: readonly { readonly name: string; readonly problem: string }[];
    };

/** Files of a model or a run that a training would overwrite; others in the folder are nobody's business. */
const ownedNames: readonly string[] = [
  ...Object.values(runFileNames),
  'adapter_config.json',
  'adapter_model.safetensors',
  'adapter_model.bin',
  'config.json',
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
];
/** Logs are never in the way: a refused start leaves them. */
const logNames: readonly string[] = [runFileNames.lock, runFileNames.output, runFileNames.events, runFileNames.control];

/** Whether a name in a run folder belongs to a run or a model that stood there. */
export function isOwned(name: string): boolean {
  return (
    ownedNames.includes(name) || checkpointStep(name) !== undefined || /^model-\d+-of-\d+\.safetensors$/.test(name)
  );
}

function shown(value: unknown): string {
  const text = value === undefined ? 'not set' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

/**
 * Decides how a training with `config` begins in `folder`.
 * @throws RunError `run-config-differs`, `run-folder-finished`, `run-folder-occupied`, `checkpoint-missing`,
 * `run-record-broken`.
 */
export async function decideStart(folder: string, config: FettleConfig): Promise<Start> {
  const { overwrite_output_dir: overwrite, resume_from_checkpoint: resume } = config;
  const record = await readRunRecord(folder).catch((error: unknown) => {
    if (overwrite) return undefined;
    throw error;
  });
  if (typeof resume === 'string') return startFromPath(folder, resume, record, config);
  if (record === undefined) {
    const found = (await readdir(folder).catch(() => [])).filter((name) => isOwned(name) && !logNames.includes(name));
    if (found.length > 0 && !overwrite) throw new RunError('run-folder-occupied', { dir: folder, found });
    return { kind: 'fresh' };
  }
  const difference = compareForResume(record.config as unknown as FettleConfig, config);
  const finished = record.state === 'done';
  if (!finished && resume === false) return { kind: 'fresh' };
  if (!finished && difference === undefined) return resumeFrom(folder, record);
  if (overwrite) return { kind: 'fresh', ...(finished ? {} : { replaces: difference!.key }) };
  if (finished && difference === undefined && madeLonger(record, config)) return resumeFrom(folder, record);
  if (finished) throw new RunError('run-folder-finished', { dir: folder });
  const { key, old, new: now } = difference!;
  throw new RunError('run-config-differs', { dir: folder, key, before: shown(old), now: shown(now) });
}

/** A finished run goes on where its config is the same but for a later end. */
function madeLonger(record: RunRecord, config: FettleConfig): boolean {
  const before = record.config as unknown as FettleConfig;
  return before.num_train_epochs !== config.num_train_epochs || before.max_steps !== config.max_steps;
}

async function resumeFrom(folder: string, record: RunRecord): Promise<Start> {
  const { found, passedOver } = await findCheckpoint(folder, record.id);
  return { kind: 'resume', record, checkpoint: found, passedOver };
}

async function startFromPath(
  folder: string,
  path: string,
  record: RunRecord | undefined,
  config: FettleConfig,
): Promise<Start> {
  const found = await inspectCheckpoint(path);
  if ('problem' in found) {
    throw new RunError('checkpoint-missing', {
      where: 'resume_from_checkpoint',
      checkpoint: path,
      reason: found.problem,
    });
  }
  if (record !== undefined && record.id === found.runId) {
    const difference = compareForResume(record.config as unknown as FettleConfig, config);
    if (difference === undefined) return { kind: 'resume', record, checkpoint: found, passedOver: [] };
    const { key, old, new: now } = difference;
    throw new RunError('run-config-differs', { dir: folder, key, before: shown(old), now: shown(now) });
  }
  if (record !== undefined && !config.overwrite_output_dir) throw new RunError('run-folder-finished', { dir: folder });
  return { kind: 'fresh', from: found };
}
