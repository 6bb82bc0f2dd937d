/** Texts about tokenizers and chat templates. */
export const tokenizerMessages = {
  'tokenizer-missing': (f: { dir: string; expected: readonly string[] }) =>
    `${f.dir}: no tokenizer found: one of ${f.expected.join(', ')} must be there`,
};
