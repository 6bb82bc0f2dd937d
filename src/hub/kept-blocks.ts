/** What was read of files on a hub, kept from one command to the next: headers of weights, by the checksum of the whole file, which never changes. */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '../formats/index.ts';

/** A stretch of a file. */
export interface Block {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Headers of so many files are kept, those of a dozen large models; the oldest go. */
const maxKeptFiles = 1024;

/** The blocks of one file in a folder of their own, named by their offsets. */
export class KeptBlocks {
  readonly #folder: string;
  readonly #place: string;

  /** @param folder that of all files @param checksum of the file, in hexadecimal digits */
  constructor(folder: string, checksum: string) {
    this.#folder = folder;
    this.#place = join(folder, checksum);
  }

  /** What is kept of a file of `size` bytes. */
  async read(size: number): Promise<Block[]> {
    const names = (await readdir(this.#place).catch(() => [])).filter((name) => /^\d+$/.test(name));
    const blocks = await Promise.all(
      names.map(async (name) => ({
        offset: Number(name),
        bytes: await readFile(join(this.#place, name)).catch(() => new Uint8Array(0)),
      })),
    );
    return blocks.filter(({ offset, bytes }) => bytes.length > 0 && offset + bytes.length <= size);
  }

  /** Keeps a block; where that cannot be, the next command asks for it again. */
  async keep({ offset, bytes }: Block): Promise<void> {
    await writeFileAtomically(join(this.#place, String(offset)), bytes).catch(() => undefined);
    await this.#removeOldest().catch(() => undefined);
  }

  async #removeOldest(): Promise<void> {
    const names = await readdir(this.#folder);
    if (names.length <= maxKeptFiles) return;
    const files = await Promise.all(
      names.map(async (name) => ({ name, at: (await stat(join(this.#folder, name))).mtimeMs })),
    );
    const oldest = files.sort((a, b) => a.at - b.at).slice(0, names.length - maxKeptFiles);
    for (const { name } of oldest) await rm(join(this.#folder, name), { recursive: true, force: true });
  }
}
