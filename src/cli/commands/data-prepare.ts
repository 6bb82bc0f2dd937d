/** `fettle data prepare`: tokenises data sets once, into `tokenized_path`, from where training takes them. */
import { prepareData, requireModelTemplate } from '../../data/index.ts';
import { prepareTexts } from '../../messages/cli.ts';
import { type Command, configUsage, jsonFlag } from '../command.ts';
import { openCommandConfig } from '../config-arguments.ts';
import { openDataCommand, printNotices } from '../data-arguments.ts';

export const command: Command = {
  usage: configUsage,
  flags: [jsonFlag],
  notes: ['Training with the same tokenized_path uses it where data, settings, tokenizer and template are the same.'],
  async run(context) {
    await openCommandConfig(context, ['model_name_or_path', 'dataset', 'tokenized_path'], 'without weights');
    const { config, text } = await openDataCommand(context);
    await requireModelTemplate(config, text);
    const { notices, ...summary } = await prepareData(config.tokenized_path!, config, text.encoder);
    printNotices(context, notices);
    if (context.options['json'] === true) context.out.json(summary);
    else context.out.line(prepareTexts.written(summary));
  },
};
