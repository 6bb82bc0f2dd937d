/** Whether an unfinished run may go on under a configuration (contract, article 21). */
import type { FettleConfig } from './resolve.ts';
import { configKeys, keyInfo, type ConfigKey } from './schema.ts';

/** A key that differs between two configurations. */
export interface ConfigDifference {
  readonly key: ConfigKey;
  readonly old: unknown;
  readonly new: unknown;
}

/** Keys whose value is a place: what stands there is compared by content, by the run. */
export const contentKeys: readonly ConfigKey[] = configKeys.filter((key) => keyInfo(key).resume === 'content');

/** The configuration without the keys that may differ on resume; equal objects may go on. */
export function runIdentity(config: FettleConfig): Readonly<Record<string, unknown>> {
  const identity: Record<string, unknown> = {};
  for (const key of configKeys) {
    if ((keyInfo(key).resume ?? 'same') === 'same' && config[key] !== undefined) identity[key] = config[key];
  }
  // eval_steps follows logging_steps, which may differ, and counts only where it is used.
  if (config.eval_strategy !== 'steps') delete identity['eval_steps'];
  return identity;
}

function equal(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** Only under a constant schedule does a longer run begin with the steps of the shorter one. */
function onlyMadeLonger(key: string, old: FettleConfig, next: FettleConfig): boolean {
  const constant = (config: FettleConfig): boolean =>
    config.lr_scheduler_type === 'constant' ||
    (config.lr_scheduler_type === 'constant_with_warmup' && config.warmup_ratio === 0);
  if (!constant(old) || !constant(next)) return false;
  if (key === 'num_train_epochs') return next.num_train_epochs > old.num_train_epochs;
  return key === 'max_steps' && old.max_steps > 0 && next.max_steps > old.max_steps;
}

/** The first key, in the order of the reference, in which a run's configuration forbids going on; else undefined. */
export function compareForResume(old: FettleConfig, next: FettleConfig): ConfigDifference | undefined {
  const [before, after] = [runIdentity(old), runIdentity(next)];
  for (const key of configKeys) {
    if (equal(before[key], after[key]) || onlyMadeLonger(key, old, next)) continue;
    return { key, old: before[key], new: after[key] };
  }
  return undefined;
}
