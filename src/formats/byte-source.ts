/** Bytes that can be read from any place: a file, an array in a test, or a hub. */
import { type FileHandle } from 'node:fs/promises';

export interface ByteSource {
  /** Bytes in all. */
  readonly size: number;
  /** The bytes `offset` to `offset + length`, which must lie inside. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** An open file as a source. `size` is what it had when it was opened; a file that shrinks gives fewer bytes. */
export async function fileSource(handle: FileHandle): Promise<ByteSource> {
  const { size } = await handle.stat();
  return {
    size,
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle.read(bytes, done, Math.min(length - done, 1 << 30), offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return bytes.subarray(0, done);
    },
  };
}

/** Files of a folder that are not on this machine, by name: what their headers say is read from where they are. */
export type RemoteFiles = ReadonlyMap<string, ByteSource>;

/** An array as a source. */
export function arraySource(bytes: Uint8Array): ByteSource {
  return { size: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length) };
}
