/** Other names of supported keys: older or newer spellings of LLaMA-Factory and transformers, each with its meaning here. */

/** Where the value of another name goes. `convert` returns undefined where the value changes nothing. */
export interface TranslatedKey {
  readonly to: string;
  readonly convert?: (value: unknown) => unknown;
}

const whenTrue =
  (result: unknown) =>
  (value: unknown): unknown =>
    value === true || value === 'true' ? result : undefined;

/** Every other name. */
export const translatedKeys: Readonly<Record<string, TranslatedKey>> = {
  evaluation_strategy: { to: 'eval_strategy' },
  per_gpu_train_batch_size: { to: 'per_device_train_batch_size' },
  // LLaMA-Factory's configurations of tasks.
  batch_size: { to: 'per_device_eval_batch_size' },
  per_gpu_eval_batch_size: { to: 'per_device_eval_batch_size' },
  activation_checkpointing: { to: 'gradient_checkpointing' },
  disable_gradient_checkpointing: { to: 'gradient_checkpointing', convert: whenTrue(false) },
  no_cuda: { to: 'device', convert: whenTrue('cpu') },
  use_cpu: { to: 'device', convert: whenTrue('cpu') },
  preserve_thinking: { to: 'history_thinking', convert: whenTrue('keep') },
  new_special_tokens: { to: 'add_special_tokens' },
  sft_packing: { to: 'packing' },
  prompt_template: { to: 'template' },
  system_prompt: { to: 'default_system' },
  dev_ratio: { to: 'val_size' },
  checkpoint_dir: { to: 'adapter_name_or_path' },
  resume_lora_training: {
    to: 'create_new_adapter',
    convert: (value) => (value === false || value === 'false' ? true : undefined),
  },
};

/** `train_sampling_strategy` of transformers 5 stands for two keys here. */
export const samplingStrategies: Readonly<Record<string, Readonly<Record<string, boolean>>>> = {
  random: { group_by_length: false },
  group_by_length: { group_by_length: true },
  sequential: { disable_shuffling: true },
};

/** Names that people bring from other tools -> the key to suggest. They are not accepted. */
export const foreignNames: Readonly<Record<string, string>> = {
  lora_r: 'lora_rank',
  r: 'lora_rank',
  rank: 'lora_rank',
  alpha: 'lora_alpha',
  target_modules: 'lora_target',
  lora_target_modules: 'lora_target',
  modules_to_save: 'additional_target',
  max_seq_length: 'cutoff_len',
  max_seq_len: 'cutoff_len',
  sequence_len: 'cutoff_len',
  base_model: 'model_name_or_path',
  model: 'model_name_or_path',
  model_path: 'model_name_or_path',
  adapter: 'adapter_name_or_path',
  adapter_path: 'adapter_name_or_path',
  datasets: 'dataset',
  data: 'dataset',
  train_file: 'dataset',
  val_set_size: 'val_size',
  micro_batch_size: 'per_device_train_batch_size',
  train_batch_size: 'per_device_train_batch_size',
  lr: 'learning_rate',
  epochs: 'num_train_epochs',
  num_epochs: 'num_train_epochs',
  max_iters: 'max_steps',
  optimizer: 'optim',
  scheduler: 'lr_scheduler_type',
  lr_scheduler: 'lr_scheduler_type',
  load_in_4bit: 'quantization_bit',
  output: 'output_dir',
  chat_template: 'template',
  sample_packing: 'packing',
  train_on_inputs: 'train_on_prompt',
  max_tokens: 'max_new_tokens',
};
