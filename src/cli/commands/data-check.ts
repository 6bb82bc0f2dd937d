/** `fettle data check`: what is wrong with the rows, or looks so. Exit code 1 where an error was found, for CI. */
import { checkData, type Finding, fixData, type FixedFile, type Notice, openTextTools } from '../../data/index.ts';
import { checkTexts } from '../../messages/cli.ts';
import { type Command, configUsage, jsonFlag } from '../command.ts';
import { openDataConfig, printNotices } from '../data-arguments.ts';

export const command: Command = {
  usage: configUsage,
  flags: [
    {
      flags: '--fix <folder>',
      description: 'write corrected copies there: bad and duplicate rows left out, damage repaired',
    },
    jsonFlag,
  ],
  notes: ['Without model_name_or_path, lengths and trained tokens are not checked.'],
  async run(context) {
    const { out } = context;
    const config = await openDataConfig(context, ['dataset']);
    const json = context.options['json'] === true;
    const text = config.model_name_or_path === undefined ? undefined : await openTextTools(config);
    const options =
      text === undefined
        ? {}
        : {
            encoder: text.encoder,
            specialTokens: [...text.tokenizer.specialIds].map((id) => text.tokenizer.tokenText(id)),
          };
    const notices: Notice[] = [];
    const findings: Finding[] = [];
    let [errors, warnings] = [0, 0];
    const add = (finding: Finding): void => {
      if (finding.severity === 'error') errors++;
      else warnings++;
      if (json) findings.push(finding);
      else out.line(out.style(finding.severity === 'error' ? 'red' : 'yellow', checkTexts.finding(finding)));
    };
    const folder = context.options['fix'];
    let fixed: readonly FixedFile[] = [];
    if (typeof folder === 'string') fixed = await fixData(folder, config, options, add, notices);
    else for await (const finding of checkData(config, options, notices)) add(finding);
    printNotices(context, notices);
    if (json) {
      out.json(typeof folder === 'string' ? { findings, fixed } : { findings });
    } else {
      out.line(checkTexts.summary(errors, warnings));
      for (const file of fixed) out.line(checkTexts.fixed(file));
    }
    return errors > 0 ? 1 : 0;
  },
};
