/** A nameless temporary file that takes what does not fit into memory and is gone when the process ends. */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeError } from '../formats/index.ts';

/** Appended to, then read at any place. Synchronous: a sequence is read within a step of training, in microseconds. */
export class SpillFile {
  private readonly file: number;
  private readonly path: string;
  private bytes = 0;

  constructor() {
    const folder = mkdtempSync(join(tmpdir(), 'fettle-data-'));
    this.path = join(folder, 'tokens');
    this.file = openSync(this.path, 'wx+', 0o600);
    if (process.platform === 'win32') {
      // An open file cannot be removed there.
      process.once('exit', () => {
        closeSync(this.file);
        rmSync(folder, { recursive: true, force: true });
      });
    } else rmSync(folder, { recursive: true });
  }

  /** Appends an array and returns where it begins, in bytes. @throws FileError `disk-full`, `file-unwritable`. */
  async append(values: Int32Array | Float32Array): Promise<number> {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const start = this.bytes;
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(this.file, bytes, at, bytes.length - at, start + at);
    } catch (error) {
      throw await writeError(error, this.path, bytes.length);
    }
    this.bytes += bytes.length;
    return start;
  }

  /** Fills an array with what was written at a place. */
  read(values: Int32Array | Float32Array, start: number): void {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    for (let at = 0; at < bytes.length;) {
      const count = readSync(this.file, bytes, at, bytes.length - at, start + at);
      if (count === 0) throw new RangeError(`nothing stands at byte ${start + at} of the spilled tokens`);
      at += count;
    }
  }
}
