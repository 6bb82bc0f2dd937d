/** `fettle compare`: models on the same rows, in numbers, in differences row by row, and as a page. */
import type { FettleConfig } from '../../config/index.ts';
import { compare } from '../../eval/index.ts';
import { compareTexts, predictTexts } from '../../messages/eval.ts';
import { type Command, configUsage, jsonFlag } from '../command.ts';
import { neededRows, openCommandConfig } from '../config-arguments.ts';
import { INTERRUPTED } from '../failure.ts';
import { interruptSignal, showAskEvent, showScores } from '../predict-view.ts';
import { ProgressLine } from '../progress.ts';
import { shellCommand } from '../shell-command.ts';

const needs = (config: FettleConfig) => [
  ...(config.systems === undefined ? (['model_name_or_path', 'adapter_name_or_path'] as const) : []),
  ...(config.systems === undefined ? neededRows(config) : []),
  'output_dir' as const,
];

export const command: Command = {
  usage: configUsage,
  flags: [jsonFlag],
  notes: [
    'Without systems the model is compared with and without its adapters. The rows are those of fettle predict; systems.NAME.answers',
    'takes the generated_predictions.jsonl of an earlier prediction. comparison.html in output_dir shows every row.',
    '',
    'Example:',
    '  fettle compare model_name_or_path=models/base adapter_name_or_path=saves/run eval_dataset=test.jsonl output_dir=saves/comparison',
  ],
  async run(context) {
    const { config } = await openCommandConfig(context, needs);
    const json = context.options['json'] === true;
    const people = json ? context.err : context.out;
    const progress = new ProgressLine(people);
    const end = await compare(config, {
      signal: interruptSignal(context),
      onEvent: (event) => {
        if (event.type === 'system') progress.line(compareTexts.system(event.name, event.source));
        else showAskEvent(event, people, progress);
      },
    }).finally(() => progress.clear());
    if (end.comparison === undefined) {
      people.line(predictTexts.goOn(shellCommand(['fettle', 'compare', ...context.arguments])));
      return INTERRUPTED;
    }
    for (const { name, scores } of end.comparison.systems) {
      people.line(people.style('bold', name));
      showScores(scores, people);
    }
    const [first] = end.comparison.systems;
    people.table(
      end.comparison.differences.map((item) => [
        `${compareTexts.against(item.system, first!.name)}  ${item.metric}`,
        compareTexts.verdict(item),
      ]),
    );
    for (const file of end.files) people.line(file);
    if (json) context.out.json(end.results);
    return 0;
  },
};
