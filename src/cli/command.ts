/** What a command is: a name and a summary for the table, flags for its help, and a function that runs it. */
import type { Provenance } from '../config/index.ts';
import type { Terminal } from './terminal.ts';

/** A flag of a command, in commander's notation: `--json`, `--prompt <text>`. */
export interface Flag {
  readonly flags: string;
  readonly description: string;
}

/** What a command is run with. */
export interface CommandContext {
  /** `fettle train`, as errors name it. */
  readonly command: string;
  /** Arguments that are no flags. */
  readonly arguments: readonly string[];
  /** Values of flags by their long name in camelCase. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly out: Terminal;
  readonly err: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where standard input comes from: chat and prompts. */
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** Takes over Ctrl-C until the command ends; without it Ctrl-C ends the process at once with 130. */
  onInterrupt(handler: () => void): void;
  /** Told where each key of the configuration was written, so that a later refusal of a key names that place. */
  onConfig(provenance: ReadonlyMap<string, Provenance>): void;
}

/** A command's own module. */
export interface Command {
  /** What follows the name, e.g. `[CONFIG.yaml] [key=value ...]`. */
  readonly usage: string;
  readonly flags: readonly Flag[];
  /** Lines below the flags in the help: examples and remarks. */
  readonly notes?: readonly string[];
  /** Runs; resolves with the exit code, nothing meaning 0. */
  run(context: CommandContext): Promise<number | void>;
}

/** A line of the table of commands. The module is loaded only when it is needed: help answers at once. */
export interface CommandEntry {
  /** One or two words. */
  readonly name: string;
  readonly summary: string;
  /** Runs models in the process of the command itself (a training, an engine have their own; `pk` mostly waits for others, and ends at once when it is killed). */
  readonly computes?: true;
  /** Its result is what it prints: it ends where nobody reads that. All others go on for the files that they leave. */
  readonly onlyPrints?: true;
  load(): Promise<{ readonly command: Command }>;
}

/** The flag that most commands share. */
export const jsonFlag: Flag = { flags: '--json', description: 'print JSON and nothing else on standard output' };

/** What follows the name of commands that take a configuration. */
export const configUsage = '[CONFIG.yaml] [key=value ...]';
