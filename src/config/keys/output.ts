/** Keys of what a run writes: log lines, checkpoints, pictures. None of them changes the weights. */
import { z } from 'zod';
import { keysOf, positiveInteger, stepsOrFraction, text } from '../key.ts';

const key = keysOf('Output');
const free = { resume: 'free' } as const;

export const outputKeys = {
  output_dir: key(text.optional(), 'Folder of the run: adapter, log, checkpoints, results.', free),
  overwrite_output_dir: key(
    z.boolean().default(false),
    'Replace a finished run, or a run of another config, in output_dir.',
    free,
  ),
  resume_from_checkpoint: key(
    z.union([z.boolean(), text]).optional(),
    'false: start afresh. true or left out: go on with an unfinished run. A path: go on from that checkpoint.',
    { ...free, defaultText: 'an unfinished run of the same config goes on' },
  ),
  logging_strategy: key(z.enum(['no', 'steps', 'epoch']).default('steps'), 'When a line of the log is written.', free),
  logging_steps: key(
    stepsOrFraction.default(10),
    'Steps between two lines of the log; below 1 a share of all steps.',
    free,
  ),
  logging_first_step: key(z.boolean().default(false), 'Write a line for step 1 too.', free),
  save_strategy: key(
    z.enum(['no', 'steps', 'epoch', 'best']).default('steps'),
    'When a checkpoint is written; best: at each evaluation that is the best so far.',
    free,
  ),
  save_steps: key(stepsOrFraction.default(500), 'Steps between two checkpoints; below 1 a share of all steps.', free),
  save_total_limit: key(positiveInteger.optional(), 'Keep only so many checkpoints, the best one among them.', {
    ...free,
    defaultText: 'all',
  }),
  plot_loss: key(z.boolean().default(true), 'Write training_loss.png and training_loss.svg.', free),
  report_to: key(
    z.array(z.enum(['tensorboard', 'none'])).default(['none']),
    'tensorboard: event files under runs/ in output_dir.',
    {
      ...free,
      ignoredValues: [
        'all',
        'wandb',
        'mlflow',
        'swanlab',
        'trackio',
        'comet_ml',
        'neptune',
        'clearml',
        'codecarbon',
        'dagshub',
        'dvclive',
        'flyte',
        'azure_ml',
      ],
    },
  ),
  run_name: key(text.optional(), "Name of the run in the log's headings.", free),
};
