/** Flags of one command, read by commander; its errors become ours. */
import { Command as Parser, CommanderError } from 'commander';
import { keyStatus } from '../config/index.ts';
import { UsageError } from '../errors.ts';
import { closest } from '../util/index.ts';
import type { Command, CommandEntry } from './command.ts';

/** Arguments and flags, or the text of the help that was asked for. */
export type ParsedArguments =
  | { readonly help: string }
  | { readonly arguments: readonly string[]; readonly options: Readonly<Record<string, unknown>> };

/** `--learning_rate=1e-4` is how LLaMA-Factory's older commands were called: the setting is suggested. */
function suggestFlag(flag: string, known: readonly string[]): string | undefined {
  const name = flag.replace(/^-+/, '').replace(/=.*$/s, '');
  const key = name.replaceAll('-', '_');
  if (keyStatus(key) !== 'unknown') return `${key}=${flag.includes('=') ? flag.slice(flag.indexOf('=') + 1) : '...'}`;
  const near = closest(
    name,
    known.map((long) => long.replace(/^-+/, '')),
  );
  return near === undefined ? undefined : `--${near}`;
}

/** Reads the arguments that follow a command's name. @throws UsageError */
export function parseArguments(entry: CommandEntry, command: Command, argv: readonly string[]): ParsedArguments {
  let help = '';
  const name = `fettle ${entry.name}`;
  const parser = new Parser(name)
    .description(entry.summary)
    .usage(`${command.usage}${command.flags.length > 0 ? ' [flags]' : ''}`)
    .helpOption('-h, --help', 'show this help')
    .argument('[arguments...]')
    .allowExcessArguments()
    .exitOverride()
    .configureHelp({ visibleArguments: () => [] })
    .configureOutput({ writeOut: (text) => (help += text), writeErr: () => {} });
  for (const flag of command.flags) parser.option(flag.flags, flag.description);
  if (command.notes !== undefined) parser.addHelpText('after', `\n${command.notes.join('\n')}`);
  try {
    parser.parse(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') return { help };
    if (error.code === 'commander.unknownOption') {
      const flag = /unknown option '([^']*)'/.exec(error.message)?.[1] ?? error.message;
      const known = parser.options.map((option) => option.long ?? '').filter((long) => long !== '');
      throw new UsageError('unknown-flag', { command: name, flag, suggestion: suggestFlag(flag, known) });
    }
    throw new UsageError('flag-value', { command: name, reason: error.message.replace(/^error: /, '') });
  }
  return { arguments: parser.args, options: parser.opts() };
}
