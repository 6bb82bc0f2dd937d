/** Writing files so that a reader never sees half of one: temporary file, fsync, rename, fsync of the folder. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeError } from './file-errors.ts';

/** Flushes a folder's entries to disk, where the platform allows it. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes `path` atomically: `write` fills a temporary file beside it, which is flushed and renamed into place.
 * On any error the temporary file is removed and what stood at `path` is untouched. `neededBytes`, where known, is told
 * to a user whose disk is full.
 * @throws FileError `disk-full` or `file-unwritable`; errors of `write` that are ours pass as they are.
 */
export async function writeAtomically(
  path: string,
  write: (file: FileHandle) => Promise<void>,
  neededBytes?: number,
): Promise<void> {
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(temporary, 'wx');
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    // where the folder is a file, this fails too; what failed first is what is told
    await rm(temporary, { force: true }).catch(() => {});
    throw await writeError(error, path, neededBytes);
  }
  await syncFolder(dirname(path));
}

/** Writes a whole text or byte array atomically. */
export async function writeFileAtomically(path: string, content: string | Uint8Array): Promise<void> {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  await writeAtomically(path, async (file) => file.writeFile(bytes), bytes.length);
}
