/** Texts about settings and the command line. */
export const configMessages = {
  'config-problems': (f: { problems: readonly string[] }) => f.problems.join('\n'),
  'unknown-key': (f: { where: string; key: string; suggestion?: string | undefined }) =>
    `${f.where}: unknown key "${f.key}".${f.suggestion ? ` Did you mean "${f.suggestion}"?` : ''}`,
};
