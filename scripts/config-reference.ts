/**
 * Writes docs/config.md from the schema of the configuration. Usage: npx tsx scripts/config-reference.ts
 */
import { writeFileSync } from 'node:fs';
import { configReference, type KeyReference } from '../src/config/index.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function section(group: string, keys: readonly KeyReference[]): string {
  const rows = keys.map(
    (key) => `| \`${key.key}\` | ${cell(key.help)} | ${cell(key.requirement)} | ${cell(key.default)} |`,
  );
  return [`## ${group}`, '', '| Key | Meaning | Value | Default |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/** The text of docs/config.md. */
export function configPage(): string {
  const reference = configReference();
  const groups = [...new Set(reference.supported.map((key) => key.group))];
  const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ');
  return [
    '# Configuration reference',
    '',
    'Made from the schema by `npx tsx scripts/config-reference.ts`; change the schema, not this page.',
    '',
    'A configuration is a YAML or JSON file with the keys that LLaMA-Factory and Hugging Face use. Any key can also be given',
    'on the command line as `key=value`, which goes before the file; dots reach into a mapping',
    '(`lr_scheduler_kwargs.power=2`), and `key=null` takes a value of the file back. Lists may be written as one text with',
    'commas. The TypeScript API takes the same keys in camelCase.',
    '',
    ...groups.map((group) =>
      section(
        group,
        reference.supported.filter((key) => key.group === group),
      ),
    ),
    '## Other names',
    '',
    'Accepted, and read as the key beside them.',
    '',
    '| Name | Read as |',
    '|---|---|',
    ...reference.translated.map(({ key, to }) => `| \`${key}\` | \`${to}\` |`),
    '| `train_sampling_strategy` | `group_by_length`, `disable_shuffling` |',
    '',
    '## Refused',
    '',
    'These would change the result and are not supported; a value that changes nothing (`false`, `null`, ...) is accepted.',
    '',
    '| Key | Instead |',
    '|---|---|',
    ...reference.refused.map(({ key, remedy }) => `| \`${key}\` | ${cell(remedy)} |`),
    '',
    'Refused values of supported keys:',
    '',
    ...reference.supported
      .filter((key) => key.refusedValues.length > 0)
      .map((key) => `- \`${key.key}\`: ${code(key.refusedValues)}`),
    '',
    '## Without effect',
    '',
    'Accepted with one notice.',
    '',
    ...reference.ignored.map(({ reason, keys }) => `- ${reason}: ${code(keys)}`),
    '',
  ].join('\n');
}

if (process.argv[1]?.endsWith('config-reference.ts') === true) {
  writeFileSync(new URL('../docs/config.md', import.meta.url), configPage());
}
