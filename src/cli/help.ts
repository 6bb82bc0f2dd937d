/** The help of the whole program and of groups of commands. */
import { commands } from './commands.ts';

/** Each command on a line of its own; with a group only its commands. */
export function overview(group?: string): string {
  const shown = commands.filter(({ name }) => group === undefined || name.startsWith(`${group} `));
  const width = Math.max(...shown.map(({ name }) => name.length));
  return [
    `Usage: fettle ${group === undefined ? '' : `${group} `}<command> [CONFIG.yaml] [key=value ...] [flags]`,
    '',
    ...(group === undefined ? ['Fine-tuning of large language models in TypeScript, without Python.', ''] : []),
    'Commands:',
    ...shown.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'Flags:',
    `  ${'--help'.padEnd(width)}  show this help; "fettle <command> --help" shows that of a command`,
    ...(group === undefined ? [`  ${'--version'.padEnd(width)}  print the version`] : []),
    '',
  ].join('\n');
}
