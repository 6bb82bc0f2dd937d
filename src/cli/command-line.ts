/** One call of the program: finds the command, loads it, runs it, and turns errors into text and an exit code. */
import { readFileSync } from 'node:fs';
import type { Provenance } from '../config/index.ts';
import { UsageError } from '../errors.ts';
import { closest } from '../util/index.ts';
import type { CommandContext, CommandEntry } from './command.ts';
import { commands } from './commands.ts';
import { describeFailure } from './failure.ts';
import { overview } from './help.ts';
import { Terminal, type OutputStream } from './terminal.ts';

/** What surrounds a call. */
export interface Surroundings {
  readonly out: OutputStream;
  readonly err: OutputStream;
  readonly input: CommandContext['input'];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Gives Ctrl-C to a command. */
  onInterrupt(handler: () => void): void;
}

/** The version of this package. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

const groups: readonly string[] = [
  ...new Set(commands.flatMap(({ name }) => (name.includes(' ') ? [name.slice(0, name.indexOf(' '))] : []))),
];

/** The command that the first words name, with what follows. @throws UsageError */
function findCommand(argv: readonly string[]): { entry: CommandEntry; rest: readonly string[] } {
  const [first = '', second] = argv;
  const found = commands.find(({ name }) => name === `${first} ${second ?? ''}`);
  if (found !== undefined) return { entry: found, rest: argv.slice(2) };
  const single = commands.find(({ name }) => name === first);
  if (single !== undefined) return { entry: single, rest: argv.slice(1) };
  if (groups.includes(first)) {
    const choices = commands.flatMap(({ name }) =>
      name.startsWith(`${first} `) ? [name.slice(first.length + 1)] : [],
    );
    if (second === undefined || second.startsWith('-')) {
      throw new UsageError('command-incomplete', { command: first, choices });
    }
    const near = closest(second, choices);
    throw new UsageError('unknown-command', {
      command: `${first} ${second}`,
      suggestion: near === undefined ? undefined : `${first} ${near}`,
    });
  }
  const names = [...commands.map(({ name }) => name), ...groups];
  throw new UsageError('unknown-command', { command: first, suggestion: closest(first, names) });
}

const isHelp = (word: string | undefined): boolean => word === '--help' || word === '-h' || word === 'help';

/** The line of the table that these words run; undefined where they ask for help or name no command. */
function entryOf(argv: readonly string[]): CommandEntry | undefined {
  return argv.some(isHelp)
    ? undefined
    : commands.find(({ name }) => name === argv[0] || name === `${argv[0]} ${argv[1]}`);
}

/** Whether these words run a command that computes in this very process. */
export function computesHere(argv: readonly string[]): boolean {
  return entryOf(argv)?.computes === true;
}

/** Whether these words only print, so that nothing is left to do where nobody reads it. */
export function onlyPrints(argv: readonly string[]): boolean {
  const entry = entryOf(argv);
  return entry === undefined || entry.onlyPrints === true;
}

/** Runs one command line; resolves with the exit code. */
export async function runCommandLine(argv: readonly string[], around: Surroundings): Promise<number> {
  const out = new Terminal(around.out, around.env);
  const err = new Terminal(around.err, around.env);
  let places: ReadonlyMap<string, Provenance> = new Map();
  try {
    const [first, second] = argv;
    if (first === undefined || (isHelp(first) && second === undefined)) {
      out.write(overview());
      return 0;
    }
    if (first === '--version' || first === '-V') {
      out.line(packageVersion());
      return 0;
    }
    if (groups.includes(first) && isHelp(second)) {
      out.write(overview(first));
      return 0;
    }
    if (first.startsWith('-') && !isHelp(first)) {
      throw new UsageError('unknown-flag', {
        command: 'fettle',
        flag: first,
        suggestion: closest(first, ['--help', '--version']),
      });
    }
    const { entry, rest } = findCommand(isHelp(first) ? [...argv.slice(1), '--help'] : argv);
    const [{ command }, { parseArguments }] = await Promise.all([entry.load(), import('./parse.ts')]);
    const parsed = parseArguments(entry, command, rest);
    if ('help' in parsed) {
      out.write(parsed.help);
      return 0;
    }
    const { input, env } = around;
    const code = await command.run({
      command: `fettle ${entry.name}`,
      arguments: parsed.arguments,
      options: parsed.options,
      out,
      err,
      input,
      env,
      onInterrupt: (handler) => around.onInterrupt(handler),
      onConfig: (provenance) => {
        places = provenance;
      },
    });
    return code ?? 0;
  } catch (error) {
    const failure = describeFailure(error, around.env, places);
    err.line(err.style('red', failure.text));
    return failure.exitCode;
  }
}
