/** The defaults that depend on other keys, and the configuration as every other room sees it. */
import type { ConfigKey, ParsedConfig } from './schema.ts';

type ResolvedKey =
  | 'lora_alpha'
  | 'overlong'
  | 'packing'
  | 'group_by_length'
  | 'do_train'
  | 'do_eval'
  | 'eval_steps'
  | 'greater_is_better'
  | 'data_seed'
  | 'report_to';

/** What happens to a row that is longer than its limits. */
export type Overlong = NonNullable<ParsedConfig['overlong']>;

/** A checked configuration with every default filled in. Keys that may be left out have no default. */
export type FettleConfig = Readonly<
  Omit<ParsedConfig, ResolvedKey> & {
    lora_alpha: number;
    overlong: Overlong;
    packing: boolean;
    group_by_length: boolean;
    do_train: boolean;
    do_eval: boolean;
    eval_steps: number;
    greater_is_better: boolean;
    data_seed: number;
    report_to: readonly 'tensorboard'[];
    /** The base as it was written: model_name_or_path may since have become the folder of a downloaded model. */
    base_model_name: string | undefined;
  }
>;

/** Fills in what follows from other keys. `isSet` says whether a key was written by someone. */
export function resolveConfig(parsed: ParsedConfig, isSet: (key: ConfigKey) => boolean): FettleConfig {
  const evaluates = parsed.eval_strategy !== 'no';
  const limited = parsed.max_prompt_length !== undefined || parsed.max_response_length !== undefined;
  const warmupIsShare = parsed.warmup_steps > 0 && parsed.warmup_steps < 1;
  return {
    ...parsed,
    base_model_name: parsed.model_name_or_path,
    lora_alpha: parsed.lora_alpha ?? 2 * parsed.lora_rank,
    overlong: parsed.overlong ?? (limited ? 'keep-response' : 'drop'),
    packing: parsed.packing ?? (parsed.neat_packing || parsed.stage === 'pt'),
    group_by_length: parsed.group_by_length ?? !parsed.disable_shuffling,
    do_train: parsed.do_train ?? !((parsed.do_eval === true && isSet('do_eval')) || parsed.do_predict),
    do_eval: parsed.do_eval ?? evaluates,
    eval_steps: parsed.eval_steps ?? parsed.logging_steps,
    greater_is_better: parsed.greater_is_better ?? false,
    data_seed: parsed.data_seed ?? parsed.seed,
    report_to: parsed.report_to.filter((name) => name === 'tensorboard'),
    // Transformers 5 reads a warmup_steps below 1 as a share of all steps.
    warmup_steps: warmupIsShare ? 0 : Math.trunc(parsed.warmup_steps),
    warmup_ratio: warmupIsShare ? parsed.warmup_steps : parsed.warmup_ratio,
  };
}

/** A number of steps that may have been written as a share of all steps (below 1), as transformers reads it. */
export function stepsOf(written: number, totalSteps: number): number {
  return written < 1 ? Math.max(1, Math.ceil(written * totalSteps)) : written;
}
