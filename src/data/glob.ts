/** File name patterns: `*`, `?`, `[abc]`, `{a,b}` and `**`, as shells have them. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readError } from '../formats/index.ts';

/** A pattern that matches more files than this is taken for a mistake. */
const maxFiles = 100_000;

/** Whether a path is a pattern. */
export function isGlob(path: string): boolean {
  return /[*?]|\[[^\]]+\]|\{[^}]*,[^}]*\}/.test(path);
}

function segmentPattern(segment: string): RegExp {
  const source = segment.replaceAll(/\*|\?|\[!?[^\]]+\]|\{[^}]*\}|[.+^$|()\\{}[\]]/g, (part) => {
    if (part === '*') return '[^/]*';
    if (part === '?') return '[^/]';
    if (part.startsWith('[') && part.length > 1)
      return `[${part.slice(1, -1).replace(/^!/, '^').replaceAll('\\', '\\\\')}]`;
    if (part.startsWith('{') && part.length > 1) {
      const choices = part.slice(1, -1).split(',');
      return `(?:${choices.map((choice) => choice.replaceAll(/[.*+?^$|()\\{}[\]]/g, '\\$&')).join('|')})`;
    }
    return `\\${part}`;
  });
  return new RegExp(`^${source}$`, 'u');
}

/** The files that match a pattern, in the order of their paths. Names that begin with a dot match only where it is written. */
export async function expandGlob(pattern: string): Promise<string[]> {
  const found: string[] = [];
  const walk = async (folder: string, segments: readonly string[]): Promise<void> => {
    const [segment, ...rest] = segments;
    if (segment === undefined || found.length > maxFiles) return;
    if (segment !== '**' && !isGlob(segment) && rest.length > 0) {
      await walk(join(folder, segment), rest);
      return;
    }
    let entries;
    try {
      entries = await readdir(folder === '' ? '.' : folder, { withFileTypes: true });
    } catch (error) {
      if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return;
      throw readError(error, folder);
    }
    if (segment === '**' && rest.length > 0) await walk(folder, rest);
    const matches = segment === '**' ? /^[^.]/ : segmentPattern(segment);
    for (const entry of entries) {
      if (!matches.test(entry.name) || (entry.name.startsWith('.') && !segment.startsWith('.'))) continue;
      const path = join(folder, entry.name);
      if (entry.isDirectory() || entry.isSymbolicLink()) {
        // Links to folders are not followed below `**`: they may form a circle.
        if (segment === '**' && entry.isDirectory()) await walk(path, segments);
        else if (segment !== '**' && rest.length > 0) await walk(path, rest);
        else if (segment !== '**' && entry.isSymbolicLink()) found.push(path);
      } else if (rest.length === 0) found.push(path);
    }
  };
  const isAbsolute = pattern.startsWith('/');
  await walk(
    isAbsolute ? '/' : '',
    pattern.split('/').filter((segment) => segment !== '' && segment !== '.'),
  );
  return [...new Set(found)].sort();
}
