/**
 * Keys of LLaMA-Factory, transformers and later versions of Fettle that would change the result and are not supported:
 * refused by name, with a remedy, unless their value is one that changes nothing.
 */

/** One refused key. */
export interface RefusedKey {
  /** Values that change nothing and are accepted; `null` (not set) always is. */
  readonly neutral: readonly (string | number | boolean)[];
  /** What to do instead. */
  readonly remedy: string;
}

const off = (remedy: string): RefusedKey => ({ neutral: [false], remedy });
const zero = (remedy: string): RefusedKey => ({ neutral: [0], remedy });
const unset = (remedy: string): RefusedKey => ({ neutral: ['none'], remedy });

const useAdamw = 'Leave it out: use optim: adamw_torch';
const useLora = 'Leave it out: use plain LoRA';
const crossEntropy = 'Leave it out: the loss is the cross-entropy';

/** Every refused key. */
export const refusedKeys: Readonly<Record<string, RefusedKey>> = {
  use_dora: off(useLora),
  pissa_init: off(useLora),
  loraplus_lr_ratio: unset(useLora),
  use_llama_pro: off(useLora),
  shift_attn: off('Leave it out: attention is the full causal one'),
  mixture_of_depths: unset('Leave it out'),
  moe_aux_loss_coef: zero('Leave it out'),
  train_from_scratch: off('Give the folder of a model with weights as model_name_or_path'),
  rope_scaling: unset("Write rope_scaling into the model's config.json, which is obeyed"),
  adapter_folder: unset('Give the whole path in adapter_name_or_path'),
  new_special_tokens_config: unset('Use add_special_tokens; new rows start near the mean of all rows'),
  split_special_tokens: off("Leave it out: special tokens in the template's text stay whole"),
  model_max_length: unset('Use cutoff_len'),
  max_source_length: unset('Use max_prompt_length'),
  max_target_length: unset('Use max_response_length'),
  source_prefix: unset('Use default_system'),
  split: { neutral: ['train'], remedy: 'Name the split in dataset_info.json' },

  use_galore: off(useAdamw),
  use_apollo: off(useAdamw),
  use_badam: off(useAdamw),
  use_adam_mini: off(useAdamw),
  use_muon: off(useAdamw),
  adafactor: off(useAdamw),
  optim_args: unset(useAdamw),
  label_smoothing_factor: zero(crossEntropy),
  neftune_noise_alpha: zero(crossEntropy),
  neft_alpha: zero(crossEntropy),
  use_dft_loss: off(crossEntropy),
  use_asft_loss: off(crossEntropy),
  use_eaft_loss: off(crossEntropy),

  tool_format: unset("Leave it out: tools are written by the model's own template"),
  train_suffix: off('Leave it out: nothing after the end token is trained'),
  visual_inputs: off('Leave it out: only text is trained'),
  dataloader_drop_last: off('Leave it out: the last short batch is kept'),
  ignore_data_skip: off('Leave it out: a resumed run goes on with the next row'),

  eval_on_start: off('Leave it out: use fettle train with do_eval: true alone'),
  eval_delay: zero('Leave it out: evaluations begin with the first eval_steps'),
  eval_on_each_dataset: off('Leave it out: give one eval_dataset'),
  compute_accuracy: off('Leave it out: evaluations give eval_loss'),

  push_to_hub: off('Upload output_dir yourself'),
  export_hub_model_id: unset('Upload export_dir yourself'),
  export_quantization_bit: unset('Leave it out: weights are exported in the number format of the base model'),
  export_legacy_format: off('Leave it out: weights are exported as safetensors'),
};
