/** A file of settings -> its entries, or what is wrong with the file. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { parseEntries, type ParsedEntries } from './yaml-entries.ts';

/** A configuration is a page of text; a larger file was given by mistake and is not read. */
const MAX_CONFIG_BYTES = 1_000_000;

function problem(code: 'config-unreadable', where: string, reason: string): ParsedEntries {
  return { entries: [], problems: [{ code, fields: { where, reason } }] };
}

/** UTF-16 files begin with a mark, or show a zero byte beside an ASCII letter. */
function encodingOf(bytes: Uint8Array): string | undefined {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) return 'UTF-16';
  if (bytes.length > 1 && (bytes[0] === 0) !== (bytes[1] === 0)) return 'UTF-16';
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return undefined;
  } catch {
    return 'bytes that are not UTF-8';
  }
}

/** Reads the settings of a file; what is wrong with the file comes back as problems. */
export function readEntries(file: string): ParsedEntries {
  let bytes: Buffer;
  try {
    const handle = openSync(file, 'r');
    try {
      const stats = fstatSync(handle);
      if (stats.isDirectory()) return problem('config-unreadable', file, 'it is a folder');
      if (stats.size > MAX_CONFIG_BYTES) {
        return {
          entries: [],
          problems: [
            { code: 'config-too-large', fields: { where: file, bytes: stats.size, maxBytes: MAX_CONFIG_BYTES } },
          ],
        };
      }
      bytes = readFileSync(handle);
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return problem('config-unreadable', file, code === 'ENOENT' ? 'no such file' : (code ?? String(error)));
  }
  const encoding = encodingOf(bytes);
  if (encoding !== undefined) {
    return { entries: [], problems: [{ code: 'config-encoding', fields: { where: file, encoding } }] };
  }
  return parseEntries(bytes.toString('utf8').replace(/^\uFEFF/, ''), file);
}
