/** `fettle pk`: systems compete on the same questions, a judge decides, and the figures say what that proves. */
import { pkNeeds, type PkResults, runPk } from '../../eval/index.ts';
import { pkTexts } from '../../messages/pk.ts';
import { formatCount } from '../../util/index.ts';
import { type Command, type CommandContext, configUsage, jsonFlag } from '../command.ts';
import { openCommandConfig } from '../config-arguments.ts';
import { INTERRUPTED } from '../failure.ts';
import { ProgressLine } from '../progress.ts';
import type { Terminal } from '../terminal.ts';

/** Ctrl-C: the first lets no further question out, the second ends the command. */
function stopOnInterrupt(
  context: CommandContext,
  progress: ProgressLine,
): { signal: AbortSignal; ended: Promise<number> } {
  const controller = new AbortController();
  const ended = new Promise<number>((resolve) => {
    context.onInterrupt(() => {
      if (controller.signal.aborted) {
        resolve(INTERRUPTED);
        return;
      }
      progress.line(context.err.style('yellow', pkTexts.stopping));
      controller.abort(new Error(pkTexts.stopping));
    });
  });
  return { signal: controller.signal, ended };
}

function show(terminal: Terminal, results: PkResults, folder: string): void {
  for (const pair of results.pairs) {
    terminal.line(terminal.style(pair.better === null ? 'bold' : 'green', pkTexts.verdict(pair)));
    terminal.line(`  ${pkTexts.counts(pair.wins, pair.ties, pair.losses)}`);
  }
  if (results.order !== null) {
    terminal.line(`  ${pkTexts.agreement}: ${pkTexts.percent(results.order.agreement)}`);
  }
  for (const { text } of results.findings) terminal.line(terminal.style('yellow', `  ${text}`));
  for (const who of [...results.systems, results.judge]) {
    if (who.asked + who.remembered === 0) continue;
    const tokens = formatCount(who.promptTokens + who.completionTokens);
    terminal.line(
      terminal.style('dim', `  ${who.name}: ${pkTexts.spent(who.asked, who.remembered, tokens, who.cost)}`),
    );
  }
  terminal.line(pkTexts.files(folder));
}

export const command: Command = {
  usage: configUsage,
  flags: [jsonFlag],
  notes: [
    'Every answer is kept in output_dir/journal.jsonl before it is used: the same command goes on after a stop, and',
    'nothing is paid twice. docs/pk.md explains the forms and how to read the result.',
    '',
    'Example:',
    '  fettle pk examples/pk.yaml judge.base_url=http://127.0.0.1:8000/v1 judge.model=my-judge',
  ],
  async run(context) {
    const { config } = await openCommandConfig(context, pkNeeds);
    const json = context.options['json'] === true;
    const people = json ? context.err : context.out;
    const progress = new ProgressLine(people);
    const { signal, ended } = stopOnInterrupt(context, progress);
    const run = runPk(config, {
      signal,
      endpoint: { env: context.env },
      onEvent: (event) => {
        const text =
          event.type === 'answering'
            ? pkTexts.answering(event.system, event.done, event.total)
            : pkTexts.judging(event.done, event.total);
        progress.show(event.total === 0 ? 1 : event.done / event.total, text);
      },
    }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
      progress.clear();
      context.err.line((error as Error).message);
      return INTERRUPTED;
    });
    const end = await Promise.race([run, ended]);
    progress.clear();
    if (typeof end === 'number') return end;
    if (json) context.out.json(end.results);
    else show(people, end.results, config.output_dir!);
    return 0;
  },
};
