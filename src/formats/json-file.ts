/** Reading JSON files with bounds and clear errors, and writing them atomically. */
import { open } from 'node:fs/promises';
import { FormatError } from '../errors.ts';
import { writeFileAtomically } from './atomic-file.ts';
import { readError } from './file-errors.ts';
import { isJsonObject, type JsonObject, type JsonValue, parseJsonText } from './json-text.ts';

/** Largest JSON file that is read: the biggest in use are tokenizer.json files of large vocabularies, at about 40 MB. */
export const maxJsonFileBytes = 256 * 1024 * 1024;

/**
 * Reads a whole text file as UTF-8; a byte order mark is dropped.
 * @throws FileError `file-unreadable`; FormatError `file-too-large`, `file-encoding` (UTF-16, or bytes that are no UTF-8).
 */
export async function readTextFile(path: string, maxBytes = maxJsonFileBytes): Promise<string> {
  let bytes: Buffer;
  try {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      if (size > maxBytes) throw new FormatError('file-too-large', { file: path, bytes: size, maxBytes });
      bytes = await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw readError(error, path);
  }
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    throw new FormatError('file-encoding', { file: path, encoding: 'UTF-16' });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new FormatError('file-encoding', { file: path, encoding: 'bytes that are not UTF-8' });
  }
}

/**
 * Reads a JSON file.
 * @throws what `readTextFile` throws; FormatError `json-invalid` with line and column.
 */
export async function readJsonFile(path: string, maxBytes = maxJsonFileBytes): Promise<JsonValue> {
  return parseJsonText(await readTextFile(path, maxBytes), path);
}

/**
 * Reads a JSON file whose top level must be an object.
 * @throws what `readJsonFile` throws; FormatError `json-value` for another top level.
 */
export async function readJsonObject(path: string, maxBytes = maxJsonFileBytes): Promise<JsonObject> {
  const value = await readJsonFile(path, maxBytes);
  if (isJsonObject(value)) return value;
  const actual = Array.isArray(value) ? 'an array' : String(value);
  throw new FormatError('json-value', { file: path, key: '(top level)', requirement: 'an object', actual });
}

/** Writes a JSON file atomically, two spaces of indent and a newline at the end, as Hugging Face's files have it. */
export async function writeJsonFile(path: string, value: unknown): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify(value, null, 2)}\n`);
}
