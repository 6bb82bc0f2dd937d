/** Rules between keys. Each names the setting that asks for something and what is missing or in its way. */
import type { ConfigProblem } from '../messages/config.ts';
import type { FettleConfig } from './resolve.ts';
import type { ConfigKey } from './schema.ts';

/** What a rule may ask besides the values. */
export interface RuleContext {
  /** Whether someone wrote the key. */
  readonly isSet: (key: ConfigKey) => boolean;
  /** The place to name for a key. */
  readonly where: (key: ConfigKey) => string;
}

type Rule = (config: FettleConfig, context: RuleContext) => ConfigProblem | undefined;

const needs = (context: RuleContext, key: ConfigKey, setting: string, list: readonly string[]): ConfigProblem => ({
  code: 'setting-needs',
  fields: { where: context.where(key), setting, needs: list },
});
const excludes = (
  context: RuleContext,
  key: ConfigKey,
  setting: string,
  other: string,
  remedy?: string,
): ConfigProblem => ({ code: 'settings-exclude', fields: { where: context.where(key), setting, other, remedy } });

const hasEvalData = (config: FettleConfig): boolean => config.eval_dataset.length > 0 || config.val_size > 0;
const evalData = ['eval_dataset', 'val_size'];

const rules: readonly Rule[] = [
  (config, context) =>
    config.eval_dataset.length > 0 && config.val_size > 0
      ? excludes(context, 'val_size', 'val_size', 'eval_dataset', 'Leave one of them out')
      : undefined,
  (config, context) =>
    config.val_size > 0 && config.dataset.length === 0
      ? needs(context, 'val_size', 'val_size', ['dataset'])
      : undefined,
  (config, context) =>
    context.isSet('do_eval') && config.do_eval && !hasEvalData(config)
      ? needs(context, 'do_eval', 'do_eval: true', evalData)
      : undefined,
  (config, context) =>
    config.do_predict && !config.predict_with_generate
      ? needs(context, 'predict_with_generate', 'do_predict: true', ['predict_with_generate: true'])
      : undefined,
  (config, context) =>
    config.eval_strategy !== 'no' && !hasEvalData(config)
      ? needs(context, 'eval_strategy', `eval_strategy: ${config.eval_strategy}`, evalData)
      : undefined,
  (config, context) =>
    config.load_best_model_at_end && config.eval_strategy === 'no'
      ? needs(context, 'load_best_model_at_end', 'load_best_model_at_end: true', [
          'eval_strategy: steps',
          'eval_strategy: epoch',
        ])
      : undefined,
  (config, context) =>
    config.early_stopping_steps !== undefined && config.eval_strategy === 'no'
      ? needs(context, 'early_stopping_steps', 'early_stopping_steps', ['eval_strategy: steps', 'eval_strategy: epoch'])
      : undefined,
  (config, context) =>
    config.load_best_model_at_end &&
    config.eval_strategy !== 'no' &&
    config.save_strategy !== 'best' &&
    config.save_strategy !== config.eval_strategy
      ? needs(context, 'load_best_model_at_end', 'load_best_model_at_end: true', [
          `save_strategy: ${config.eval_strategy} (as eval_strategy)`,
        ])
      : undefined,
  (config, context) => {
    if (!config.load_best_model_at_end || config.eval_strategy !== 'steps' || config.save_strategy !== 'steps') {
      return undefined;
    }
    const ratio = config.save_steps / config.eval_steps;
    // Shares of all steps (below 1) are compared with a tolerance, as 0.2 / 0.1 need not be whole.
    return Math.abs(ratio - Math.round(ratio)) < 1e-9 && ratio >= 1 - 1e-9
      ? undefined
      : {
          code: 'save-off-beat',
          fields: { where: context.where('save_steps'), saveSteps: config.save_steps, evalSteps: config.eval_steps },
        };
  },
  (config, context) =>
    config.greater_is_better
      ? excludes(
          context,
          'greater_is_better',
          'greater_is_better: true',
          'metric_for_best_model: eval_loss',
          'A smaller loss is better',
        )
      : undefined,
  (config, context) =>
    config.save_strategy === 'best' && config.eval_strategy === 'no'
      ? needs(context, 'save_strategy', 'save_strategy: best', ['eval_strategy: steps', 'eval_strategy: epoch'])
      : undefined,
  (config, context) =>
    config.interleave_probs !== undefined && config.mix_strategy === 'concat'
      ? needs(context, 'interleave_probs', 'interleave_probs', ['mix_strategy: interleave_under'])
      : undefined,
  (config, context) => {
    const lists = (['dataset', 'eval_dataset'] as const).filter((key) => config[key].length > 0);
    const given = config.interleave_probs?.length;
    const key = lists.find((name) => given !== undefined && config[name].length !== given);
    return key === undefined
      ? undefined
      : {
          code: 'probabilities-count',
          fields: { where: context.where('interleave_probs'), key, sets: config[key].length, given: given! },
        };
  },
  (config, context) =>
    config.mask_history && config.train_on_prompt
      ? excludes(context, 'mask_history', 'mask_history', 'train_on_prompt', 'Leave one of them out')
      : undefined,
  (config, context) => {
    const key = (['train_on_prompt', 'mask_history', 'neat_packing'] as const).find((name) => config[name]);
    return config.stage !== 'sft' && key !== undefined
      ? needs(context, key, `${key}: true`, ['stage: sft'])
      : undefined;
  },
  (config, context) =>
    config.neat_packing && context.isSet('packing') && !config.packing
      ? excludes(context, 'neat_packing', 'neat_packing: true', 'packing: false')
      : undefined,
  (config, context) =>
    config.disable_shuffling && context.isSet('group_by_length') && config.group_by_length
      ? excludes(context, 'group_by_length', 'group_by_length: true', 'disable_shuffling: true')
      : undefined,
  (config, context) =>
    config.finetuning_type !== 'lora' && config.quantization_bit !== undefined
      ? needs(context, 'quantization_bit', `quantization_bit: ${config.quantization_bit}`, ['finetuning_type: lora'])
      : undefined,
  (config, context) =>
    config.finetuning_type !== 'lora' && config.compute !== 'float32'
      ? needs(context, 'compute', `compute: ${config.compute}`, ['finetuning_type: lora'])
      : undefined,
  (config, context) =>
    config.device !== 'cpu' && config.compute !== 'float32'
      ? needs(context, 'compute', `compute: ${config.compute}`, ['device: cpu'])
      : undefined,
  (config, context) =>
    config.quantization_bit === 4 && config.compute !== 'float32'
      ? excludes(
          context,
          'compute',
          `compute: ${config.compute}`,
          'quantization_bit: 4',
          'Products in integers read weights in 8 bits: set quantization_bit: 8 or leave it out',
        )
      : undefined,
  (config, context) =>
    config.finetuning_type !== 'lora' && config.adapter_name_or_path.length > 0
      ? needs(context, 'adapter_name_or_path', 'adapter_name_or_path', ['finetuning_type: lora'])
      : undefined,
  (config, context) => {
    const key = (['use_rslora', 'create_new_adapter'] as const).find((name) => config[name]);
    return config.finetuning_type !== 'lora' && key !== undefined
      ? needs(context, key, `${key}: true`, ['finetuning_type: lora'])
      : undefined;
  },
  (config, context) => {
    const key = (['additional_target', 'trainable_token_indices'] as const).find((name) => config[name].length > 0);
    return config.finetuning_type !== 'lora' && key !== undefined
      ? needs(context, key, key, ['finetuning_type: lora'])
      : undefined;
  },
  (config, context) => {
    if (config.overlong === 'llamafactory') return undefined;
    const key = config.max_prompt_length === undefined ? 'max_response_length' : 'max_prompt_length';
    const length = (config.max_prompt_length ?? 0) + (config.max_response_length ?? 0);
    const setting = [
      ...(config.max_prompt_length === undefined ? [] : ['max_prompt_length']),
      ...(config.max_response_length === undefined ? [] : ['max_response_length']),
    ].join(' + ');
    return length > config.cutoff_len
      ? {
          code: 'limits-exceed-cutoff',
          fields: { where: context.where(key), setting, length, cutoffLength: config.cutoff_len },
        }
      : undefined;
  },
  (config, context) =>
    config.num_beams > 1 && config.num_return_sequences > config.num_beams
      ? needs(context, 'num_return_sequences', `num_return_sequences: ${config.num_return_sequences}`, [
          `num_beams of at least ${config.num_return_sequences}`,
        ])
      : undefined,
  (config, context) =>
    config.export_dir !== undefined && (config.infer_dtype === 'int8' || config.infer_dtype === 'int4')
      ? excludes(context, 'infer_dtype', `infer_dtype: ${config.infer_dtype}`, 'export_dir', 'Leave infer_dtype out')
      : undefined,
];

/** The keys that say of which kind a participant of a comparison is. */
const participantKinds = [
  ['model_name_or_path', 'adapter_name_or_path', 'template'],
  ['provider', 'base_url', 'model', 'api_key_env', 'concurrency', 'timeout', 'price', 'extra'],
  ['answers'],
  ['plugin'],
] as const;

/** What is wrong with one system or the judge. */
function checkParticipant(
  key: 'systems' | 'judge',
  name: string,
  participant: NonNullable<FettleConfig['judge']>,
  context: RuleContext,
): ConfigProblem | undefined {
  const [first, second] = participantKinds.flatMap(
    (kind) => kind.find((part) => participant[part] !== undefined) ?? [],
  );
  if (first !== undefined && second !== undefined)
    return excludes(context, key, `${name}.${first}`, `${name}.${second}`);
  if (first === undefined || !participantKinds[1].some((part) => part === first)) return undefined;
  if (participant.model === undefined) return needs(context, key, `${name}.${first}`, [`${name}.model`]);
  const { provider, base_url: baseUrl } = participant;
  return baseUrl === undefined && (provider === undefined || provider === 'compatible')
    ? needs(context, key, `${name}.model`, [`${name}.base_url`, `${name}.provider`])
    : undefined;
}

/** Rules that may be broken several times. */
function checkParticipants(config: FettleConfig, context: RuleContext): readonly ConfigProblem[] {
  const systems = Object.entries(config.systems ?? {}).map(
    ([name, system]) => checkParticipant('systems', `systems.${name}`, system, context) ?? [],
  );
  const judge = config.judge === undefined ? [] : (checkParticipant('judge', 'judge', config.judge, context) ?? []);
  return [...systems.flat(), judge].flat();
}

/** Applies every rule. */
export function checkRules(config: FettleConfig, context: RuleContext): readonly ConfigProblem[] {
  return [...rules.flatMap((rule) => rule(config, context) ?? []), ...checkParticipants(config, context)];
}
