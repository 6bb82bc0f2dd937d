/** Keys of evaluation during and after training, and of the best checkpoint. */
import { z } from 'zod';
import { keysOf, positiveInteger, stepsOrFraction } from '../key.ts';

const key = keysOf('Evaluation');
const metric = 'Use eval_loss';

export const evaluationKeys = {
  do_eval: key(z.boolean().optional(), 'Evaluate after training (or alone, where do_train is not set).', {
    defaultText: '`true` where eval_strategy is set',
  }),
  eval_strategy: key(z.enum(['no', 'steps', 'epoch']).default('no'), 'When to evaluate during training.'),
  eval_steps: key(stepsOrFraction.optional(), 'Steps between two evaluations; below 1 a share of all steps.', {
    defaultText: 'logging_steps',
  }),
  per_device_eval_batch_size: key(positiveInteger.default(8), 'Samples in one pass of an evaluation.'),
  load_best_model_at_end: key(
    z.boolean().default(false),
    'Leave the weights of the best evaluation in output_dir instead of the last ones.',
  ),
  metric_for_best_model: key(z.enum(['eval_loss']).default('eval_loss'), 'What makes a checkpoint the best.', {
    aliases: { loss: 'eval_loss' },
    refusedValues: { accuracy: metric, eval_accuracy: metric, rouge: metric, 'bleu-4': metric },
  }),
  greater_is_better: key(z.boolean().optional(), 'Whether a larger metric is better.', {
    defaultText: '`false` for a loss',
  }),
  early_stopping_steps: key(
    positiveInteger.optional(),
    'Stop after so many evaluations in a row without a better one.',
    { defaultText: 'off' },
  ),
};
