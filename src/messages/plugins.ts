/** Texts about plugins. */

const didYouMean = (suggestion: string | undefined): string => (suggestion ? `. Did you mean "${suggestion}"?` : '');

export const pluginMessages = {
  'plugin-failed': (f: { file: string; reason: string }) => `${f.file}: the plugin must load, got ${f.reason}`,
  'plugin-export': (f: { file: string; name: string; requirement: string; suggestion?: string | undefined }) =>
    `${f.file}: what the plugin exports as ${JSON.stringify(f.name)} must be ${f.requirement}, got something else${didYouMean(f.suggestion)}`,
  'plugin-name-twice': (f: { file: string; name: string; owner: string }) =>
    `${f.file}: ${f.name} must have a name of its own, got one that ${f.owner} has`,
  'plugin-name-taken': (f: { name: string; kind: string }) =>
    `${f.kind} ${JSON.stringify(f.name)}: a plugin must choose another name, got that of a built-in one`,
  'converter-failed': (f: { file: string; line: number; name: string; reason: string }) =>
    `${f.file}:${f.line}: the converter ${JSON.stringify(f.name)} must give a row, got ${f.reason}`,
};
