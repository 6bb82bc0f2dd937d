/** The texts of LAMBADA and of perplexity: JSONL rows with a `text`, or plain text files as one text each. */
import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { DataError } from '../../errors.ts';
import { isJsonObject, type JsonValue, readError, readTextFile, readTextRecords } from '../../formats/index.ts';

/** Ends of the names of files that are read in a folder. */
const extensions = ['.jsonl', '.json', '.txt', '.md'];

/** The files that a path names: itself, or what stands in the folder, or in the folder of the task in it. */
async function filesOf(path: string, task: string): Promise<readonly string[]> {
  const info = await stat(path).catch((error: unknown) => {
    throw readError(error, path);
  });
  if (!info.isDirectory()) return [path];
  for (const folder of [path, join(path, task)]) {
    const names = await readdir(folder).catch(() => []);
    const files = names.filter((name) => extensions.includes(extname(name))).sort();
    if (files.length > 0) return files.map((name) => join(folder, name));
  }
  throw new DataError('task-files', { folder: path, name: task, part: extensions.join(', ') });
}

/** A text and where it stands. */
export interface TaskText {
  readonly where: string;
  readonly text: string;
}

/**
 * Reads texts.
 * @throws FileError `file-unreadable`; DataError `task-files`, `task-text`.
 */
export async function readTexts(path: string, task: string, maxSamples = Infinity): Promise<readonly TaskText[]> {
  const texts: TaskText[] = [];
  for (const file of await filesOf(path, task)) {
    const extension = extname(file);
    if (extension !== '.jsonl' && extension !== '.json') {
      texts.push({ where: file, text: await readTextFile(file) });
      continue;
    }
    for await (const records of readTextRecords(file, extension === '.json' ? 'json' : 'jsonl')) {
      for (const { line, value } of records) {
        const where = `${file}:${line}`;
        const text =
          typeof value === 'string'
            ? value
            : isJsonObject(value as JsonValue)
              ? (value as Record<string, unknown>)['text']
              : undefined;
        if (typeof text !== 'string') throw new DataError('task-text', { where });
        texts.push({ where, text });
        if (texts.length >= maxSamples) return texts;
      }
    }
  }
  return texts.slice(0, maxSamples);
}
