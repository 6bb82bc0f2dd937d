/**
 * The append-only record of every answer, keyed by its question: what stands here is never asked again. A line is in the
 * system's hands before its answer is used; the half line of a killed process is cut off. Answers that were under way when
 * a process was killed are lost, as no client can know whether they were given: they are asked again.
 */
import { open, stat, truncate } from 'node:fs/promises';
import { FormatError } from '../errors.ts';
import { isJsonObject, readError, readTextRecords, writeError } from '../formats/index.ts';
import { openJsonLines } from '../run/index.ts';
import type { ChatAnswer } from './chat.ts';

/** One line: an answer, whose it is, and the key of its question. */
export interface JournalEntry extends ChatAnswer {
  readonly key: string;
  /** Who was asked. */
  readonly scope: string;
  /** The messages alone, as `messagesKey` names them. */
  readonly asked?: string | undefined;
}

/** An open journal. */
export interface Journal {
  readonly path: string;
  readonly size: number;
  get(key: string): JournalEntry | undefined;
  /** @throws FileError `disk-full` or `file-unwritable`; nothing is accepted after that. */
  append(entry: JournalEntry): Promise<void>;
  close(): void;
}

const newLine = 0x0a;
/** How much of a file's end is looked at in one piece for the last line end. */
const tailBytes = 65_536;

/** Length of a file up to and with its last line end; undefined where there is no file. */
async function wholeLength(path: string): Promise<{ whole: number; size: number } | undefined> {
  const size = await stat(path).then(
    (stats) => stats.size,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw readError(error, path);
    },
  );
  if (size === undefined) return undefined;
  const file = await open(path, 'r');
  try {
    for (let end = size; end > 0;) {
      const start = Math.max(0, end - tailBytes);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(end - start), 0, end - start, start);
      const at = buffer.subarray(0, bytesRead).lastIndexOf(newLine);
      if (at >= 0) return { whole: start + at + 1, size };
      end = start;
    }
    return { whole: 0, size };
  } finally {
    await file.close();
  }
}

const count = (value: unknown): number | null => (typeof value === 'number' && value >= 0 ? value : null);

function parseEntry(value: unknown): JournalEntry | undefined {
  if (!isJsonObject(value as never)) return undefined;
  const { key, scope, asked, text, finish_reason: finishReason, usage, reasoning } = value as Record<string, unknown>;
  if (typeof key !== 'string' || typeof text !== 'string' || typeof scope !== 'string') return undefined;
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = (usage ?? {}) as Record<string, unknown>;
  return {
    key,
    scope,
    ...(typeof asked === 'string' ? { asked } : {}),
    text,
    finishReason: typeof finishReason === 'string' ? finishReason : null,
    usage: { promptTokens: count(promptTokens), completionTokens: count(completionTokens) },
    ...(typeof reasoning === 'string' ? { reasoning } : {}),
  };
}

/** Reads the entries of a journal that someone else keeps. @throws FormatError `journal-line` */
export async function readJournal(path: string): Promise<Map<string, JournalEntry>> {
  const entries = new Map<string, JournalEntry>();
  for await (const records of readTextRecords(path, 'jsonl')) {
    for (const { line, value } of records) {
      const entry = parseEntry(value);
      if (entry === undefined) throw new FormatError('journal-line', { file: path, line });
      entries.set(entry.key, entry);
    }
  }
  return entries;
}

/**
 * Opens a journal, making it where it is missing. One process at a time: the caller holds the folder's lock.
 * @throws FormatError `journal-line` where a whole line is no entry; FileError.
 */
export async function openJournal(path: string): Promise<Journal> {
  const length = await wholeLength(path);
  if (length !== undefined && length.whole < length.size) await truncate(path, length.whole);
  const entries = length === undefined ? new Map<string, JournalEntry>() : await readJournal(path);
  let writer: ReturnType<typeof openJsonLines>;
  try {
    writer = openJsonLines(path);
  } catch (error) {
    throw await writeError(error, path);
  }
  let failure: Error | undefined;
  return {
    path,
    get size() {
      return entries.size;
    },
    get: (key) => entries.get(key),
    async append(entry) {
      if (failure !== undefined) throw failure;
      const { key, scope, asked, text, finishReason, usage, reasoning } = entry;
      try {
        writer.append({
          key,
          scope,
          ...(asked === undefined ? {} : { asked }),
          text,
          finish_reason: finishReason,
          usage: { prompt_tokens: usage.promptTokens, completion_tokens: usage.completionTokens },
          ...(reasoning === undefined ? {} : { reasoning }),
        });
      } catch (error) {
        // A half line stands at the end now: whatever followed would be lost with it.
        failure = (await writeError(error, path)) as Error;
        throw failure;
      }
      entries.set(key, entry);
    },
    close: () => writer.close(),
  };
}
