/** Texts about data sets, rows, templates and masks. */
export const dataMessages = {
  'empty-dataset': (f: { file: string }) => `${f.file}: a data set must hold at least one row, got none`,
};
