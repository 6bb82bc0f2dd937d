/**
 * A file on a hub as bytes that can be read from any place, by requests for ranges: what a header says is known before
 * anything is downloaded. Keeps what it has read, also for the next command; meant for headers, not for weights.
 */
import { FileError, FormatError } from '../errors.ts';
import type { ByteSource } from '../formats/index.ts';
import type { Listing } from './download.ts';
import { headersFolder } from './cache.ts';
import { endpointOf, type HubFile, type HubOptions, hubs } from './hub.ts';
import { type Block, KeptBlocks } from './kept-blocks.ts';
import { ask, finally_, PassingError, reasonOf, repeatedly } from './request.ts';

/** The first request asks for so much: the headers of most files lie within it. */
const firstBytes = 32 * 1024;
/** No header is longer; a source that is asked for more is read by mistake. */
const maxReadBytes = 128 * 1024 * 1024;

/** A source that counts what its hub has sent. */
export interface RemoteSource extends ByteSource {
  readonly bytesRead: () => number;
}

/**
 * Opens a file on a hub; asks for nothing yet. Reads throw FileError `hub-ranges` where the hub sends whole files only, and
 * as `downloadFile` does.
 */
export function remoteSource(listing: Listing, file: HubFile, options: HubOptions): RemoteSource {
  const { repository, commit } = listing;
  const url = hubs[repository.hub].fileUrl(endpointOf(repository.hub, options), repository, commit, file.path);
  const checksum = file.sha256 ?? file.gitSha1;
  const kept = checksum === undefined ? undefined : new KeptBlocks(headersFolder(options), checksum);
  let known: Promise<Block[]> | undefined;
  let received = 0;

  async function fetchBlock(offset: number, length: number): Promise<Block> {
    const bytes = await finally_(
      repeatedly(
        options,
        async () => {
          const range = `bytes=${offset}-${offset + length - 1}`;
          const response = await ask(url, repository, options, { range, 'accept-encoding': 'identity' });
          if (response.status !== 206) {
            await response.body?.cancel();
            throw new FileError('hub-ranges', { url, status: response.status, name: repository.name });
          }
          requireRange(response.headers.get('content-range'), offset, file.bytes, url);
          return readBody(response, length, url, (count) => (received += count));
        },
        (error) => error instanceof PassingError,
      ),
    );
    const block = { offset, bytes };
    (await known)?.push(block);
    await kept?.keep(block);
    return block;
  }

  return {
    size: file.bytes,
    bytesRead: () => received,
    async read(offset, asked) {
      const length = Math.max(0, Math.min(asked, file.bytes - offset));
      if (length > maxReadBytes) {
        throw new FormatError('hub-answer', {
          url,
          requirement: `headers of at most ${maxReadBytes} bytes`,
          actual: `${length} bytes`,
        });
      }
      known ??= kept?.read(file.bytes) ?? Promise.resolve([]);
      const block = (await known).find((one) => offset >= one.offset && offset < one.offset + one.bytes.length);
      const begun = block?.bytes.subarray(offset - block.offset, offset - block.offset + length) ?? new Uint8Array(0);
      if (begun.length === length) return begun;
      const from = offset + begun.length;
      const wanted = offset === 0 ? Math.max(length, Math.min(firstBytes, file.bytes)) : length;
      const rest = (await fetchBlock(from, wanted - begun.length)).bytes;
      return begun.length === 0 ? rest.subarray(0, length) : Buffer.concat([begun, rest]).subarray(0, length);
    },
  };
}

/** A hub that answers for other bytes, or for a file that has changed since it was listed. */
function requireRange(told: string | null, offset: number, size: number, url: string): void {
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(told ?? '');
  const isWanted = range !== null && Number(range[1]) === offset && (range[2] === '*' || Number(range[2]) === size);
  if (isWanted) return;
  const actual = told === null ? 'none' : JSON.stringify(told.slice(0, 60));
  throw new FormatError('hub-answer', { url, requirement: `a range from byte ${offset} of ${size}`, actual });
}

async function readBody(
  response: Response,
  length: number,
  url: string,
  onBytes: (count: number) => void,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let have = 0;
  try {
    const reader = response.body?.getReader();
    for (let read = await reader?.read(); read !== undefined && !read.done; read = await reader?.read()) {
      const chunk = (read.value as Uint8Array).subarray(0, length - have);
      bytes.set(chunk, have);
      have += chunk.length;
      onBytes(chunk.length);
      if (have === length) break;
    }
    await reader?.cancel();
  } catch (error) {
    throw new PassingError(new FileError('hub-unreachable', { url, reason: reasonOf(error) }, { cause: error }));
  }
  if (have < length) {
    throw new PassingError(new FileError('hub-unreachable', { url, reason: `only ${have} of ${length} bytes` }));
  }
  return bytes;
}
