/** Texts about files and their formats. */
export const formatsMessages = {
  'file-unreadable': (f: { file: string; reason: string }) => `${f.file}: cannot be read: ${f.reason}`,
};
