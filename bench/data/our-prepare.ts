/** Our side of the comparison: prepares one data file as training does and prints what that took. */
import { readFileSync } from 'node:fs';
import { openTextTools, prepareTrainingData } from '../../src/data/index.ts';

const [file, tokenizer, template, workers] = process.argv.slice(2);
const settings = {
  stage: 'sft',
  dataset: [file!],
  eval_dataset: [],
  dataset_dir: '.',
  cutoff_len: 2048,
  overlong: 'drop',
  bad_rows: 'error',
  val_size: 0,
  preprocessing_num_workers: workers === undefined ? undefined : Number(workers),
  mask_history: false,
  packing: false,
  disable_shuffling: false,
  group_by_length: true,
  data_seed: 42,
  per_device_train_batch_size: 8,
  gradient_accumulation_steps: 1,
  num_train_epochs: 1,
  max_steps: -1,
  model_name_or_path: tokenizer!,
  adapter_name_or_path: [],
  template,
  history_thinking: 'strip',
  train_on_prompt: false,
} as const;

const { encoder } = await openTextTools(settings);
const started = performance.now();
const { plan } = await prepareTrainingData(settings, encoder);
const seconds = (performance.now() - started) / 1000;
const { user, system } = process.cpuUsage();
const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
const figures = {
  seconds,
  cpuSeconds: (user + system) / 1e6,
  rows: plan.rows_read,
  tokens: plan.tokens,
  trainedTokens: plan.trained_tokens,
  peakBytes: Number(peak) * 1024,
};
console.log(JSON.stringify(figures));
