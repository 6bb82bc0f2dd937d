/** The bytes of a data file as a stream: unpacked where it is gzip or zstd, without byte order mark, UTF-16 refused by name. */
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { Decompress } from 'fzstd';
import { FormatError } from '../errors.ts';
import { readError } from './file-errors.ts';

/** Large enough that the cost of a chunk vanishes, small enough to stay in the processor's cache. */
const chunkBytes = 1 << 20;

async function* rawChunks(path: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) yield chunk as Uint8Array;
  } catch (error) {
    throw readError(error, path);
  }
}

async function* gunzip(chunks: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  const unpack = createGunzip({ chunkSize: chunkBytes });
  const feed = async (): Promise<void> => {
    for await (const chunk of chunks) {
      if (unpack.destroyed) return;
      if (!unpack.write(chunk)) {
        await new Promise<void>((resolve) => {
          unpack.once('drain', resolve);
          unpack.once('close', resolve);
        });
      }
    }
    unpack.end();
  };
  const fed = feed().catch((error: unknown) => unpack.destroy(error as Error));
  try {
    for await (const chunk of unpack) yield chunk as Uint8Array;
    await fed;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!code.startsWith('Z_')) throw error;
    throw new FormatError(
      'compressed-damaged',
      { file: path, format: 'gzip', problem: (error as Error).message },
      { cause: error },
    );
  }
}

async function* unzstd(chunks: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  const ready: Uint8Array[] = [];
  const unpack = new Decompress((data) => {
    if (data.length > 0) ready.push(data.slice());
  });
  const push = (chunk: Uint8Array, last: boolean): void => {
    try {
      unpack.push(chunk, last);
    } catch (error) {
      throw new FormatError(
        'compressed-damaged',
        { file: path, format: 'zstd', problem: (error as Error).message },
        { cause: error },
      );
    }
  };
  for await (const chunk of chunks) {
    // Small slices keep what one push unpacks bounded, however well the file was packed.
    for (let at = 0; at < chunk.length; at += 1 << 16) {
      push(chunk.subarray(at, at + (1 << 16)), false);
      yield* ready.splice(0);
    }
  }
  push(new Uint8Array(0), true);
  yield* ready.splice(0);
}

/** The stream again, its first chunk at least `count` bytes long where the stream has as many. */
async function* withHead(chunks: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  let head: Uint8Array | undefined = new Uint8Array(0);
  for await (const chunk of chunks) {
    if (head === undefined) {
      yield chunk;
      continue;
    }
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
    if (head.length < count) continue;
    yield head;
    head = undefined;
  }
  if (head !== undefined && head.length > 0) yield head;
}

function startsWith(bytes: Uint8Array, ...start: number[]): boolean {
  return start.every((byte, index) => bytes[index] === byte);
}

/** UTF-16 by its byte order mark, or by the zero bytes that plain text never holds. */
function isUtf16(head: Uint8Array): boolean {
  if (startsWith(head, 0xff, 0xfe) || startsWith(head, 0xfe, 0xff)) return true;
  return head.length >= 4 && ((head[0] === 0 && head[2] === 0) || (head[1] === 0 && head[3] === 0));
}

/**
 * The file's bytes in order, unpacked where its first bytes say gzip or zstd (whatever its name says).
 * @throws FileError `file-unreadable`; FormatError `compressed-damaged`.
 */
export async function* readPackedBytes(path: string): AsyncGenerator<Uint8Array> {
  const chunks = withHead(rawChunks(path), 4);
  const first = await chunks.next();
  if (first.done === true) return;
  const head = first.value;
  async function* all(): AsyncGenerator<Uint8Array> {
    yield head;
    yield* chunks;
  }
  if (startsWith(head, 0x1f, 0x8b)) yield* gunzip(all(), path);
  else if (startsWith(head, 0x28, 0xb5, 0x2f, 0xfd)) yield* unzstd(all(), path);
  else yield* all();
}

/**
 * The bytes of a UTF-8 text file, byte order mark dropped.
 * @throws what `readPackedBytes` throws; FormatError `file-encoding` for UTF-16.
 */
export async function* readTextBytes(path: string): AsyncGenerator<Uint8Array> {
  let first = true;
  for await (const chunk of withHead(readPackedBytes(path), 4)) {
    if (!first) {
      yield chunk;
      continue;
    }
    first = false;
    if (isUtf16(chunk)) throw new FormatError('file-encoding', { file: path, encoding: 'UTF-16' });
    yield startsWith(chunk, 0xef, 0xbb, 0xbf) ? chunk.subarray(3) : chunk;
  }
}
