/** Keys of the training loop: length, batches, optimiser, schedule, random numbers. */
import { z } from 'zod';
import { keysOf, positiveInteger } from '../key.ts';

const key = keysOf('Training');
const useAdamw = 'Use adamw_torch';
const schedules = 'Use linear, cosine, constant or another of the list';

export const trainingKeys = {
  do_train: key(z.boolean().optional(), 'Train.', {
    defaultText: '`true`, but `false` where only do_eval or do_predict is set',
  }),
  num_train_epochs: key(z.number().positive().default(3), 'Passes over the training rows; fractions are allowed.'),
  max_steps: key(
    z
      .number()
      .int()
      .min(-1)
      .refine((value) => value !== 0, { error: 'unset-or-positive' })
      .default(-1),
    'Stop after so many optimiser steps; overrides num_train_epochs. -1: not set.',
  ),
  per_device_train_batch_size: key(positiveInteger.default(8), 'Samples in one forward and backward pass.'),
  gradient_accumulation_steps: key(positiveInteger.default(1), 'Passes whose gradients make one optimiser step.'),
  learning_rate: key(z.number().min(0).default(5e-5), 'Peak learning rate.'),
  lr_scheduler_type: key(
    z
      .enum([
        'linear',
        'cosine',
        'cosine_with_restarts',
        'polynomial',
        'constant',
        'constant_with_warmup',
        'inverse_sqrt',
      ])
      .default('linear'),
    'Shape of the learning rate over the steps, as in transformers.',
    {
      refusedValues: {
        reduce_lr_on_plateau: schedules,
        cosine_with_min_lr: schedules,
        cosine_warmup_with_min_lr: schedules,
        warmup_stable_decay: schedules,
        greedy: schedules,
      },
    },
  ),
  lr_scheduler_kwargs: key(
    z
      .strictObject({
        num_cycles: z.number().positive().optional(),
        lr_end: z.number().min(0).optional(),
        power: z.number().positive().optional(),
        timescale: z.number().positive().optional(),
      })
      .default({}),
    'Parameters of the schedule: num_cycles (cosine and cosine_with_restarts), lr_end and power (polynomial), timescale (inverse_sqrt).',
  ),
  warmup_steps: key(
    z.number().min(0).default(0),
    'Steps over which the learning rate rises from 0; below 1 it is a share of all steps.',
  ),
  warmup_ratio: key(z.number().min(0).max(1).default(0), 'The same as a share of all steps; warmup_steps goes first.'),
  optim: key(z.enum(['adamw_torch', 'sgd']).default('adamw_torch'), 'Update rule.', {
    aliases: {
      adamw: 'adamw_torch',
      adamw_hf: 'adamw_torch',
      adamw_torch_fused: 'adamw_torch',
      adamw_apex_fused: 'adamw_torch',
      adamw_torch_xla: 'adamw_torch',
      adamw_torch_npu_fused: 'adamw_torch',
    },
    refusedValues: Object.fromEntries(
      [
        'adafactor',
        'adamw_anyprecision',
        'adamw_torch_4bit',
        'adamw_torch_8bit',
        'ademamix',
        'adagrad',
        'adamw_bnb_8bit',
        'adamw_8bit',
        'ademamix_8bit',
        'lion',
        'lion_8bit',
        'lion_32bit',
        'paged_adamw',
        'paged_adamw_32bit',
        'paged_adamw_8bit',
        'paged_ademamix_32bit',
        'paged_ademamix_8bit',
        'paged_lion_32bit',
        'paged_lion_8bit',
        'rmsprop',
        'rmsprop_bnb',
        'rmsprop_bnb_8bit',
        'rmsprop_bnb_32bit',
        'galore_adamw',
        'galore_adamw_8bit',
        'galore_adafactor',
        'galore_adamw_layerwise',
        'galore_adamw_8bit_layerwise',
        'galore_adafactor_layerwise',
        'lomo',
        'adalomo',
        'grokadamw',
        'schedule_free_radam',
        'schedule_free_adamw',
        'schedule_free_sgd',
        'apollo_adamw',
        'apollo_adamw_layerwise',
        'stable_adamw',
        'muon',
      ].map((name) => [name, useAdamw]),
    ),
  }),
  adam_beta1: key(z.number().min(0).lt(1).default(0.9), 'Decay of the first moment.'),
  adam_beta2: key(z.number().min(0).lt(1).default(0.999), 'Decay of the second moment.'),
  adam_epsilon: key(z.number().min(0).default(1e-8), 'Added to the root of the second moment.'),
  weight_decay: key(z.number().min(0).default(0), 'Decay of all trained weights; decoupled for AdamW.'),
  max_grad_norm: key(z.number().min(0).default(1), 'Gradients are clipped to this global norm; 0 turns clipping off.'),
  seed: key(
    z.number().int().min(0).max(4_294_967_295).default(42),
    'Seed of new weights, dropout, sampling and, unless data_seed is set, of the order of rows.',
  ),
  data_seed: key(
    z.number().int().min(0).max(4_294_967_295).optional(),
    'Seed of the order of rows and of the split of val_size.',
    {
      defaultText: 'seed',
    },
  ),
  gradient_checkpointing: key(
    z.boolean().optional(),
    'true: the step runs in segments and recomputes activations (less memory). false: in one piece (faster).',
    { defaultText: 'from the memory plan' },
  ),
};
