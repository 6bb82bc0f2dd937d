/** Append-only JSON-lines files: a line is in the system's hands when `append` returns, so that a kill loses none. */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeFileAtomically } from '../formats/index.ts';

/** An open file to which objects are appended. */
export interface JsonLinesWriter {
  append(value: object): void;
  close(): void;
}

/** Opens a file for appending, making it and its folder where they are missing. */
export function openJsonLines(path: string): JsonLinesWriter {
  mkdirSync(dirname(path), { recursive: true });
  const descriptor = openSync(path, 'a');
  return {
    append(value) {
      const bytes = Buffer.from(`${JSON.stringify(value)}\n`);
      let written = 0;
      while (written < bytes.length) written += writeSync(descriptor, bytes, written);
    },
    close() {
      closeSync(descriptor);
    },
  };
}

/** Reads all whole lines; what is no JSON object (the half line of a killed process) is left out. Empty if missing. */
export async function readJsonLines(path: string): Promise<Record<string, unknown>[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const values: Record<string, unknown>[] = [];
  for (const line of text.split('\n')) {
    try {
      const value: unknown = JSON.parse(line);
      if (typeof value === 'object' && value !== null) values.push(value as Record<string, unknown>);
    } catch {
      // Left out, as said above.
    }
  }
  return values;
}

/** Keeps the lines that `keep` accepts and writes the file anew, atomically. A missing file stays missing. */
export async function filterJsonLines(path: string, keep: (value: Record<string, unknown>) => boolean): Promise<void> {
  const values = await readJsonLines(path);
  const kept = values.filter(keep).map((value) => `${JSON.stringify(value)}\n`);
  const handle = await open(path, 'r').catch(() => undefined);
  if (handle === undefined) return;
  await handle.close();
  await writeFileAtomically(path, kept.join(''));
}

/** Follows a growing file: hands out each whole line once, from a byte offset on. */
export class LineFollower {
  readonly #path: string;
  #offset: number;
  #inode: number | undefined;
  #rest = Buffer.alloc(0);

  constructor(path: string, offset = 0) {
    this.#path = path;
    this.#offset = offset;
  }

  /** The lines that were completed since the last call; none where the file is missing. */
  async read(): Promise<string[]> {
    const handle = await open(this.#path, 'r').catch(() => undefined);
    if (handle === undefined) return [];
    try {
      const { size, ino } = await handle.stat();
      // Written anew (a run that started afresh): it is read from its beginning.
      if (size < this.#offset || (this.#inode !== undefined && this.#inode !== ino)) {
        this.#offset = 0;
        this.#rest = Buffer.alloc(0);
      }
      this.#inode = ino;
      if (size === this.#offset) return [];
      const buffer = Buffer.alloc(size - this.#offset);
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, this.#offset);
      this.#offset += bytesRead;
      const bytes = Buffer.concat([this.#rest, buffer.subarray(0, bytesRead)]);
      const complete = bytes.lastIndexOf(0x0a) + 1;
      this.#rest = bytes.subarray(complete);
      return bytes
        .toString('utf8', 0, complete)
        .split('\n')
        .filter((line) => line !== '');
    } finally {
      await handle.close();
    }
  }
}
