/** `fettle data proof`: that what is trained is what is asked, row by row. Exit code 1 where it is not. */
import { type Notice, proofData } from '../../data/index.ts';
import { proofTexts } from '../../messages/cli.ts';
import { formatCount } from '../../util/index.ts';
import { type Command, configUsage, jsonFlag } from '../command.ts';
import { openDataCommand, printNotices } from '../data-arguments.ts';

export const command: Command = {
  usage: configUsage,
  flags: [jsonFlag],
  async run(context) {
    const { out } = context;
    const { config, text } = await openDataCommand(context);
    const notices: Notice[] = [];
    const proof = await proofData(config, text, notices);
    printNotices(context, notices);
    const total = Object.values(proof.mismatches).reduce((sum, count) => sum + count, 0);
    if (context.options['json'] === true) {
      out.json(proof);
      return total > 0 ? 1 : 0;
    }
    for (const { message } of proof.examples) out.line(out.style('red', message));
    out.table([
      [proofTexts.template, proof.template],
      [proofTexts.compared, proof.compared_with_model ? proofTexts.yes : proofTexts.no],
      [proofTexts.conversations, formatCount(proof.conversations)],
      [proofTexts.sequences, formatCount(proof.sequences)],
      [proofTexts.turns, formatCount(proof.turns)],
      [proofTexts.splits, formatCount(proof.splits)],
      [proofTexts.own, formatCount(proof.own_sequences)],
      [proofTexts.refused, formatCount(proof.refused)],
    ]);
    out.line(total === 0 ? proofTexts.proven : proofTexts.broken(proof.mismatches));
    return total > 0 ? 1 : 0;
  },
};
