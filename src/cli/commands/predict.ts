/** `fettle predict`: a model answers the rows of a data set, and the answers are compared with the right ones. */
import type { FettleConfig } from '../../config/index.ts';
import { type Command, configUsage, jsonFlag } from '../command.ts';
import { neededRows, openCommandConfig } from '../config-arguments.ts';
import { runPredictions } from '../predict-view.ts';
import { shellCommand } from '../shell-command.ts';

const needs = (config: FettleConfig) => ['model_name_or_path', ...neededRows(config), 'output_dir'] as const;

export const command: Command = {
  usage: configUsage,
  flags: [jsonFlag],
  notes: [
    'Rows of eval_dataset are answered; without it those that val_size sets aside, else all of dataset. Where the answers',
    'are labels (labels: [...], or found in the data) accuracy and a confusion matrix are given too.',
    'Ctrl-C keeps what is answered; the same command goes on, also after a power cut.',
    '',
    'Example:',
    '  fettle predict model_name_or_path=models/base adapter_name_or_path=saves/run eval_dataset=test.jsonl output_dir=saves/predictions',
  ],
  async run(context) {
    const { config } = await openCommandConfig(context, needs);
    const goOn = shellCommand(['fettle', 'predict', ...context.arguments]);
    const { exitCode, end } = await runPredictions(context, config, goOn);
    if (context.options['json'] === true && end.results !== undefined) context.out.json(end.results);
    return exitCode;
  },
};
