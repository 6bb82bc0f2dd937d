/** The models of a training on this machine: planned before their weights are downloaded, so that what cannot fit costs no download. */
import type { FettleConfig } from '../config/index.ts';
import { FileError } from '../errors.ts';
import { type HubOptions, type OutlinedConfig, withLocalModels, withOutline } from '../hub/index.ts';
import type { IsGiven } from './create-engine.ts';
import { requireFit } from './plan-training.ts';

/** How models are brought. */
export interface BringOptions {
  readonly isGiven?: IsGiven;
  readonly hub?: HubOptions;
}

/**
 * A config with folders of this machine in place of the names of models, which are downloaded. Where weights are not here yet,
 * the data is read, tokenised for the training too, and the run planned first.
 * @throws ConfigError `memory-too-small` before the first byte of the weights' values; FileError as `withLocalModels`.
 */
export async function withModelsThatFit(config: FettleConfig, options: BringOptions = {}): Promise<FettleConfig> {
  const { isGiven, hub = {} } = options;
  const outlined = await withOutline(config, hub);
  if (outlined.download === undefined) return outlined.config;
  if (config.do_train) await requireOutlineFits(outlined, isGiven);
  return withLocalModels(config, hub);
}

async function requireOutlineFits(
  { config, remote }: OutlinedConfig<FettleConfig>,
  isGiven: IsGiven | undefined,
): Promise<void> {
  try {
    await requireFit(config, { ...(isGiven ? { isGiven } : {}), remote, keepsData: true });
  } catch (error) {
    // such a hub can only be asked for all of it
    if (!(error instanceof FileError && error.code === 'hub-ranges')) throw error;
  }
}
