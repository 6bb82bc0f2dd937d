/** `fettle eval`: a task that others use too, on one model. */
import { runTask, type TaskResult } from '../../eval/index.ts';
import { taskTexts } from '../../messages/eval.ts';
import { type Command, configUsage, jsonFlag } from '../command.ts';
import { openCommandConfig } from '../config-arguments.ts';
import { ProgressLine } from '../progress.ts';

export const command: Command = {
  usage: configUsage,
  flags: [jsonFlag],
  notes: [
    'task: mmlu, ceval, cmmlu (with _test, _validation or _dev), lambada, perplexity. task_dir is where its files stand;',
    'nothing is downloaded. max_samples takes only the first so many questions of each subject, or texts.',
    '',
    'Examples:',
    '  fettle eval model_name_or_path=models/base task=mmlu_test task_dir=evaluation n_shot=5',
    '  fettle eval model_name_or_path=models/base task=perplexity task_dir=book.txt perplexity_window=512',
  ],
  async run(context) {
    const { config } = await openCommandConfig(context, ['model_name_or_path', 'task']);
    const json = context.options['json'] === true;
    const people = json ? context.err : context.out;
    const progress = new ProgressLine(people);
    const result = await runTask(config, {
      onProgress: (done, total) => progress.show(done / total, taskTexts.progress(done, total)),
    }).finally(() => progress.clear());
    if (json) {
      context.out.json(result);
      return;
    }
    const line = ({ task, metric, value, ci, n }: TaskResult): readonly [string, string] => [
      `${task} ${metric}`,
      taskTexts.value(metric, value, ci, n),
    ];
    people.table([...(result.parts ?? []).map(line), line(result)]);
    if (result.settings !== undefined) people.line(people.style('dim', taskTexts.settings(result.settings)));
  },
};
