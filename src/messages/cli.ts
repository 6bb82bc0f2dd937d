/** Texts about the command line: its refusals, and the words that commands print. */

const didYouMean = (suggestion: string | undefined): string => (suggestion ? `. Did you mean "${suggestion}"?` : '');

export const cliMessages = {
  'unknown-command': (f: { command: string; suggestion?: string | undefined }) =>
    `fettle: unknown command "${f.command}"${didYouMean(f.suggestion)}${f.suggestion ? '' : '. "fettle --help" lists the commands'}`,
  'command-incomplete': (f: { command: string; choices: readonly string[] }) =>
    `fettle ${f.command}: one of ${f.choices.join(', ')} must follow, got nothing`,
  'unknown-flag': (f: { command: string; flag: string; suggestion?: string | undefined }) =>
    `${f.command}: unknown flag "${f.flag}"${didYouMean(f.suggestion)}${f.suggestion ? '' : `. "${f.command} --help" lists the flags`}`,
  'flag-value': (f: { command: string; reason: string }) => `${f.command}: ${f.reason}`,
  'flag-missing': (f: { command: string; flags: readonly string[] }) =>
    `${f.command}: ${f.flags.length === 1 ? f.flags[0] : `one of ${f.flags.join(', ')}`} must be given, got none`,
  'flags-exclude': (f: { command: string; flags: readonly string[] }) =>
    `${f.command}: only one of ${f.flags.join(', ')} may be given, got several`,
  'unexpected-argument': (f: { command: string; argument: string }) =>
    `${f.command}: takes no arguments, got "${f.argument}"`,
  'unexpected-error': (f: { text: string }) => `fettle: unexpected error: ${f.text}. FETTLE_DEBUG=1 shows where`,
};

/** Words of `fettle doctor`. */
export const doctorTexts = {
  node: 'Node',
  platform: 'platform',
  processor: 'processor',
  flags: 'extensions',
  memory: 'memory',
  limit: 'memory limit',
  disk: 'disk (here)',
  runtime: 'onnxruntime',
  unknown: 'unknown',
  cores: (cores: number) => `${cores} cores`,
  free: (free: string) => `${free} free`,
  freeOf: (free: string, total: string) => `${free} free of ${total}`,
  notLoadable: (reason: string) => `does not load: ${reason}. Data, template and plan commands work without it`,
};
