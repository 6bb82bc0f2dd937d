/** Texts about tokenizers and chat templates. */
export const tokenizerMessages = {
  'tokenizer-missing': (f: { dir: string; expected: readonly string[] }) =>
    `${f.dir}: no tokenizer found: one of ${f.expected.join(', ')} must be there`,
  'tokenizer-invalid': (f: { file: string; path: string; requirement: string; actual: string }) =>
    `${f.file}: ${f.path === '' ? 'the file' : f.path} must be ${f.requirement}, got ${f.actual}`,
  'tokenizer-unsupported': (f: { file: string; path: string; actual: string; known: readonly string[] }) =>
    `${f.file}: ${f.path} must be one of ${f.known.join(', ')}, got ${f.actual}`,
  'token-id-unknown': (f: { id: number; vocabularySize: number }) =>
    `token id: must be between 0 and ${f.vocabularySize - 1}, got ${f.id}`,
  'added-token': (f: { content: string; maxLength: number }) =>
    `added token: must have 1 to ${f.maxLength} characters and fit into the vocabulary, got "${f.content}"`,
  'template-unknown': (f: { name: string; nearest: readonly string[] }) =>
    `template: must name a built-in template, got "${f.name}". Did you mean ${f.nearest.map((name) => `"${name}"`).join(', ')}?`,
  'template-missing': (f: { where: string; nearest: readonly string[] }) =>
    `${f.where}: a model without a chat template of its own needs "template" in the config, got none. Nearest built-in ones: ${f.nearest.join(', ')}`,
  'template-invalid': (f: { template: string; line?: number | undefined; reason: string }) =>
    `template ${f.template}${f.line === undefined ? '' : `:${f.line}`}: ${f.reason}`,
  'template-refused': (f: { template: string; reason: string }) =>
    `template ${f.template}: refuses this conversation: ${f.reason}`,
  'template-bounds': (f: { template: string; requirement: string; actual: string }) =>
    `template ${f.template}: ${f.requirement}, got ${f.actual}`,
};
