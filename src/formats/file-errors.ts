/** Turns what the operating system says about a file into errors that a user can act on. */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FettleError, FileError } from '../errors.ts';

const reasons: Readonly<Record<string, string | undefined>> = {
  ENOENT: 'no such file or folder',
  ENOTDIR: 'a part of its path is a file, not a folder',
  EISDIR: 'it is a folder, not a file',
  EACCES: 'no permission',
  EPERM: 'no permission',
  EROFS: 'the disk is read-only',
  ELOOP: 'its symbolic links form a circle',
  EMFILE: 'too many open files',
  ENAMETOOLONG: 'its name is too long',
  EIO: 'the disk reports an error',
};

function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** The error for a file that could not be read. What the operating system did not say passes as it is. */
export function readError(error: unknown, file: string): unknown {
  const code = systemCode(error);
  if (error instanceof FettleError || code === undefined) return error;
  return new FileError('file-unreadable', { file, reason: reasons[code] ?? code }, { cause: error });
}

/** Bytes that this process may still write on the disk that holds `path`, or undefined where the system does not say. */
export async function freeDiskBytes(path: string): Promise<number | undefined> {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    } catch (error) {
      if (systemCode(error) !== 'ENOENT' || dirname(folder) === folder) return undefined;
    }
  }
}

/**
 * The error for a file that could not be written: a full disk (or quota) says how much was needed. What the operating
 * system did not say passes as it is.
 */
export async function writeError(error: unknown, file: string, neededBytes?: number): Promise<unknown> {
  const code = systemCode(error);
  if (error instanceof FettleError || code === undefined) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new FileError('disk-full', { file, neededBytes, freeBytes: await freeDiskBytes(file) }, { cause: error });
  }
  return new FileError('file-unwritable', { file, reason: reasons[code] ?? code }, { cause: error });
}

/**
 * Refuses before the first byte where the disk cannot hold what is to be written.
 * @throws FileError `disk-full`.
 */
export async function requireDiskSpace(file: string, neededBytes: number): Promise<void> {
  const freeBytes = await freeDiskBytes(file);
  if (freeBytes !== undefined && freeBytes < neededBytes) {
    throw new FileError('disk-full', { file, neededBytes, freeBytes });
  }
}
