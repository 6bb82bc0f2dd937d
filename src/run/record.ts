/** `run.json`: what a run is, which state it is in, and which process writes it. */
import { readFile } from 'node:fs/promises';
import { RunError } from '../errors.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { runPaths } from './layout.ts';

/** States of a run, in the order in which they follow; the last three are final. */
export type RunState = 'starting' | 'training' | 'evaluating' | 'saving' | 'done' | 'stopped' | 'failed';

/** A control command that was obeyed, with the step after which it took effect. */
export interface ObeyedControl {
  readonly step: number;
  readonly command: Readonly<Record<string, unknown>>;
}

/** The content of `run.json`. */
export interface RunRecord {
  /** Version of this file's form. */
  readonly format: 1;
  /** Differs from that of every other run, also of one that stood in this folder before. */
  readonly id: string;
  readonly kind: 'train';
  readonly state: RunState;
  readonly pid: number;
  readonly process: ProcessIdentity;
  /** ISO 8601 times. */
  readonly createdAt: string;
  readonly startedAt: string;
  readonly heartbeat: string;
  /** The whole config as the run uses it, in snake_case. */
  readonly config: Readonly<Record<string, unknown>>;
  /** SHA-256 of the contents that decide the result. */
  readonly hashes: Readonly<Record<string, string>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly threads: number;
  readonly step: number;
  readonly totalSteps: number;
  /** How often an unfinished run was continued. */
  readonly resumes: number;
  readonly control: readonly ObeyedControl[];
  readonly error?: { readonly code: string; readonly text: string };
}

/** Whether a run in this state can be continued. */
export function isUnfinished(record: Pick<RunRecord, 'state'>): boolean {
  return record.state !== 'done';
}

/**
 * Reads `run.json` of a folder; undefined where there is none.
 * @throws RunError `run-record-broken` where it is not what Fettle writes.
 */
export async function readRunRecord(folder: string): Promise<RunRecord | undefined> {
  const path = runPaths(folder).record;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RunError('run-record-broken', { file: path, reason: 'it is no JSON' }, { cause: error });
  }
  const record = value as Partial<RunRecord> | null;
  if (typeof record !== 'object' || record === null || record.format !== 1 || typeof record.config !== 'object') {
    throw new RunError('run-record-broken', { file: path, reason: 'it lacks format 1 or a config' });
  }
  return record as RunRecord;
}
