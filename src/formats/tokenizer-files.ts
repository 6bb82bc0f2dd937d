/** The files of a tokenizer in a model or adapter folder, read with bounds; what they mean is the tokenizer room's. */
import { open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FormatError } from '../errors.ts';
import { readError } from './file-errors.ts';
import { maxJsonFileBytes } from './json-file.ts';

/** Files that belong to a tokenizer or say how conversations are written. */
const names = new Set([
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
  'chat_template.json',
  'fettle_template.json',
]);
const namePattern = /(?:tokenizer\.json|\.model(?:\.v\d+)?|\.tiktoken)$/;
const expected = ['tokenizer.json', 'vocab.json with merges.txt', 'tokenizer.model'];

async function readBounded(path: string): Promise<Uint8Array> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    if (size > maxJsonFileBytes) {
      throw new FormatError('file-too-large', { file: path, bytes: size, maxBytes: maxJsonFileBytes });
    }
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/**
 * Reads the tokenizer's files of a folder, or the one file that a path names with the config files beside it.
 * @returns contents by file name, as `createTokenizer` takes them; `chat_template.jinja` is among them where it is there.
 * @throws FormatError `tokenizer-missing` where none is there, `file-too-large`; FileError `file-unreadable`.
 */
export async function loadTokenizerFolder(path: string): Promise<ReadonlyMap<string, Uint8Array>> {
  try {
    let folder = path;
    let entries: string[];
    let only: string | undefined;
    try {
      entries = await readdir(path);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOTDIR')) throw error;
      folder = dirname(path);
      only = basename(path);
      entries = await readdir(folder);
    }
    const models = entries.filter((name) => (only === undefined ? namePattern.test(name) : name === only));
    const beside = entries.filter((name) => names.has(name) && (only === undefined || name !== 'tokenizer.json'));
    const wanted = [...new Set([...models, ...beside])].sort();
    const files = new Map<string, Uint8Array>();
    for (const name of wanted) files.set(name, await readBounded(join(folder, name)));
    if (models.length === 0 && !(files.has('vocab.json') && files.has('merges.txt'))) {
      throw new FormatError('tokenizer-missing', { dir: path, expected });
    }
    return files;
  } catch (error) {
    throw readError(error, path);
  }
}
