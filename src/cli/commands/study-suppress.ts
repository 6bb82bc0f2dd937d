/** `fettle study suppress`: one set of prompts with and without suppression, and what it does to the numbers of items. */
import { runSuppressStudy } from '../../eval/index.ts';
import { predictTexts, studyTexts } from '../../messages/eval.ts';
import { type Command, configUsage, jsonFlag } from '../command.ts';
import { neededRows, openCommandConfig } from '../config-arguments.ts';
import { INTERRUPTED } from '../failure.ts';
import { interruptSignal, showAskEvent } from '../predict-view.ts';
import { ProgressLine } from '../progress.ts';
import { shellCommand } from '../shell-command.ts';

export const command: Command = {
  usage: configUsage,
  flags: [jsonFlag],
  notes: [
    'The prompts are those of dataset (or eval_dataset); aspects names the headings of the answers, empty_item what stands under an',
    'empty one. output_dir gets the numbers, all answers, and a picture of means and of variances.',
    '',
    'Example:',
    '  fettle study suppress review.yaml \'suppress=[{"text": "<No related terms>", "coefficient": 0.5}]\'',
  ],
  async run(context) {
    const { config } = await openCommandConfig(context, (loaded) => [
      'model_name_or_path',
      ...neededRows(loaded),
      'suppress',
      'output_dir',
    ]);
    const json = context.options['json'] === true;
    const people = json ? context.err : context.out;
    const progress = new ProgressLine(people);
    const end = await runSuppressStudy(config, {
      signal: interruptSignal(context),
      onEvent: (event) => {
        if (event.type === 'arm') progress.line(studyTexts.arm(event.name));
        else showAskEvent(event, people, progress);
      },
    }).finally(() => progress.clear());
    if (end.state === 'stopped') {
      people.line(predictTexts.stopped(end.done, end.total));
      people.line(predictTexts.goOn(shellCommand(['fettle', 'study', 'suppress', ...context.arguments])));
      return INTERRUPTED;
    }
    const { study, files } = end;
    people.table(
      Object.keys(study.plain.sections).map((name) => [
        name === '' ? studyTexts.noHeading : name,
        studyTexts.section(study.plain.sections[name]!, study.suppressed.sections[name]!),
      ]),
    );
    people.line(studyTexts.ratio(study.variance_ratio, study.variance_ratio_ci, study.n));
    for (const file of files) people.line(file);
    if (json) context.out.json(study);
    return 0;
  },
};
