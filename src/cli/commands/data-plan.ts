/** `fettle data plan`: rows, tokens and steps of a run, counted on the very samples that training uses. */
import { prepareTrainingData } from '../../data/index.ts';
import { planLabels } from '../../messages/cli.ts';
import { formatCount } from '../../util/index.ts';
import { type Command, configUsage, jsonFlag } from '../command.ts';
import { openDataCommand, printNotices } from '../data-arguments.ts';

export const command: Command = {
  usage: configUsage,
  flags: [jsonFlag],
  async run(context) {
    const { config, text } = await openDataCommand(context);
    const { plan, notices } = await prepareTrainingData(config, text.encoder);
    printNotices(context, notices);
    if (context.options['json'] === true) {
      context.out.json(plan);
      return;
    }
    context.out.table(
      Object.entries(plan).map(([name, value]: [string, number | Readonly<Record<string, number>>]) => [
        planLabels[name] ?? name.replaceAll('_', ' '),
        typeof value === 'number'
          ? formatCount(value)
          : Object.entries(value)
              .map(([rule, count]) => `${rule} ${formatCount(count)}`)
              .join(', ') || '0',
      ]),
    );
  },
};
