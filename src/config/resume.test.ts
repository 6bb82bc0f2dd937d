import { describe, expect, test } from 'vitest';
import { compareForResume, parseConfig } from './index.ts';

const config = (text: string) => parseConfig(text, 'train.yaml').config;
const difference = (old: string, next: string) => compareForResume(config(old), config(next));

describe('compareForResume', () => {
  test('output, logging, saving and plotting may differ; places are compared by content elsewhere', () => {
    expect(
      difference(
        'output_dir: a\nmodel_name_or_path: /one\ndataset: a',
        'output_dir: b\nmodel_name_or_path: /two\ndataset: b\nlogging_steps: 1\nsave_steps: 3\nsave_total_limit: 2\nplot_loss: false\nreport_to: tensorboard\noverwrite_output_dir: true\nthreads: 3\nmemory_limit: 1GB\nrun_name: x',
      ),
    ).toBeUndefined();
  });

  test('any other key forbids it, the first is named with both values', () => {
    expect(difference('lora_rank: 4\nseed: 1', 'lora_rank: 8\nseed: 2')).toEqual({ key: 'lora_rank', old: 4, new: 8 });
    expect(difference('', 'lr_scheduler_kwargs: {power: 2}')?.key).toBe('lr_scheduler_kwargs');
    expect(difference('', 'gradient_checkpointing: true')?.key).toBe('gradient_checkpointing');
    expect(difference('', 'lora_alpha: 16')).toBeUndefined();
  });

  test('a run may be made longer under a constant schedule only', () => {
    expect(difference('num_train_epochs: 1', 'num_train_epochs: 2')?.key).toBe('num_train_epochs');
    const constant = 'lr_scheduler_type: constant\n';
    expect(difference(`${constant}num_train_epochs: 1`, `${constant}num_train_epochs: 2`)).toBeUndefined();
    expect(difference(`${constant}num_train_epochs: 2`, `${constant}num_train_epochs: 1`)?.key).toBe(
      'num_train_epochs',
    );
    expect(difference(`${constant}max_steps: 10`, `${constant}max_steps: 20`)).toBeUndefined();
    expect(difference(`${constant}max_steps: 10`, constant)?.key).toBe('max_steps');
    const warm = 'lr_scheduler_type: constant_with_warmup\nwarmup_ratio: 0.1\n';
    expect(difference(`${warm}max_steps: 10`, `${warm}max_steps: 20`)?.key).toBe('max_steps');
  });
});
