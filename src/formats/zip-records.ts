/**
 * Where the records of a zip archive lie, without reading them. Only what PyTorch's files are made of: stored (not
 * compressed) records, with or without the 64-bit extension. Format: PKWARE APPNOTE 6.3.10, 4.3 and 4.5.3.
 */
import type { ByteSource } from './byte-source.ts';
import { FileFault } from './file-fault.ts';

/** One record: its bytes lie in the archive as they are. */
export interface ZipRecord {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}

const endBytes = 22;
const locatorBytes = 20;
const end64Bytes = 56;
const entryBytes = 46;
const localBytes = 30;
/** A comment has a 16-bit length: the end record lies at most so far from the end. */
const maxComment = 0xffff;
/** A record takes at least 46 bytes of list; a model of 100,000 tensors has a list of about 10 MB. */
const maxListBytes = 64 * 1024 * 1024;

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

async function readAt(source: ByteSource, offset: number, length: number, what: string): Promise<DataView> {
  if (!Number.isSafeInteger(offset) || offset < 0 || offset + length > source.size) {
    throw new FileFault(
      `${what} must lie inside of the file's ${source.size} bytes`,
      `byte ${offset} and ${length} more`,
    );
  }
  const bytes = await source.read(offset, length);
  if (bytes.length < length) throw new FileFault(`${what} must be there`, 'a file that ends before it');
  return viewOf(bytes);
}

/** A 64-bit number; beyond 2^53 it is no place in any file. */
function number64(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

interface List {
  readonly offset: number;
  readonly length: number;
  readonly count: number;
}

async function findList(source: ByteSource): Promise<List> {
  const tail = Math.min(source.size, endBytes + maxComment);
  const tailStart = source.size - tail;
  const view = await readAt(source, tailStart, tail, 'the end of the archive');
  for (let at = tail - endBytes; at >= 0; at--) {
    if (view.getUint32(at, true) !== 0x06054b50 || at + endBytes + view.getUint16(at + 20, true) !== tail) continue;
    const plain = {
      count: view.getUint16(at + 10, true),
      length: view.getUint32(at + 12, true),
      offset: view.getUint32(at + 16, true),
    };
    const is64 = plain.count === 0xffff || plain.length === 0xffffffff || plain.offset === 0xffffffff;
    if (!is64) return plain;
    const locator = await readAt(source, tailStart + at - locatorBytes, locatorBytes, 'the locator of its 64-bit end');
    if (locator.getUint32(0, true) !== 0x07064b50) return plain;
    const end = await readAt(source, number64(locator, 8), end64Bytes, 'its 64-bit end');
    if (end.getUint32(0, true) !== 0x06064b50) throw new FileFault('its 64-bit end must have its mark', 'other bytes');
    return { count: number64(end, 32), length: number64(end, 40), offset: number64(end, 48) };
  }
  throw new FileFault('a zip archive must have its list at the end', 'none: it was cut off');
}

/** Sizes and place of a record whose 32 bits do not hold them. */
function extended(extra: DataView, fields: { length: number; packed: number; offset: number }): void {
  for (let at = 0; at + 4 <= extra.byteLength;) {
    const id = extra.getUint16(at, true);
    const size = extra.getUint16(at + 2, true);
    const end = Math.min(at + 4 + size, extra.byteLength);
    let from = at + 4;
    if (id === 1) {
      for (const key of ['length', 'packed', 'offset'] as const) {
        if (fields[key] !== 0xffffffff || from + 8 > end) continue;
        fields[key] = number64(extra, from);
        from += 8;
      }
    }
    at = at + 4 + size;
  }
}

/**
 * Lists the records of an archive, in the order of its list.
 * @throws FileFault where the list is broken, a record is compressed or encrypted, stands twice or lies outside of the file.
 */
export async function readZipRecords(source: ByteSource): Promise<ReadonlyMap<string, ZipRecord>> {
  const list = await findList(source);
  if (list.length > maxListBytes)
    throw new FileFault(`its list may have ${maxListBytes} bytes`, `${list.length} bytes`);
  const view = await readAt(source, list.offset, list.length, 'its list');
  const records = new Map<string, ZipRecord>();
  const decoder = new TextDecoder();
  let at = 0;
  for (let i = 0; i < list.count; i++) {
    if (at + entryBytes > view.byteLength || view.getUint32(at, true) !== 0x02014b50) {
      throw new FileFault(`its list must have ${list.count} entries`, `${i}`);
    }
    const flags = view.getUint16(at + 8, true);
    const method = view.getUint16(at + 10, true);
    const nameBytes = view.getUint16(at + 28, true);
    const extraBytes = view.getUint16(at + 30, true);
    const commentBytes = view.getUint16(at + 32, true);
    const end = at + entryBytes + nameBytes + extraBytes + commentBytes;
    if (end > view.byteLength) throw new FileFault('an entry of its list must lie inside of it', `entry ${i}`);
    const nameAt = view.byteOffset + at + entryBytes;
    const name = decoder.decode(new Uint8Array(view.buffer, nameAt, nameBytes));
    const fields = {
      packed: view.getUint32(at + 20, true),
      length: view.getUint32(at + 24, true),
      offset: view.getUint32(at + 42, true),
    };
    extended(new DataView(view.buffer, nameAt + nameBytes, extraBytes), fields);
    if (method !== 0 || fields.packed !== fields.length || (flags & 1) !== 0) {
      const shown = JSON.stringify(name.slice(0, 100));
      throw new FileFault(
        'every record must be stored as it is',
        `${shown}, which is ${(flags & 1) !== 0 ? 'encrypted' : 'compressed'}`,
      );
    }
    if (records.has(name))
      throw new FileFault('every record must stand once', `${JSON.stringify(name.slice(0, 100))} twice`);
    records.set(name, { name, offset: fields.offset, length: fields.length });
    at = end;
  }
  return records;
}

/**
 * Where a record's bytes begin: after its own header.
 * @throws FileFault where the header is broken or the bytes lie outside of the file.
 */
export async function locateRecord(source: ByteSource, record: ZipRecord): Promise<number> {
  const header = await readAt(source, record.offset, localBytes, `record ${JSON.stringify(record.name.slice(0, 100))}`);
  if (header.getUint32(0, true) !== 0x04034b50) {
    throw new FileFault(
      'every record must have its header',
      `other bytes before ${JSON.stringify(record.name.slice(0, 100))}`,
    );
  }
  const begin = record.offset + localBytes + header.getUint16(26, true) + header.getUint16(28, true);
  if (!Number.isSafeInteger(record.length) || begin + record.length > source.size) {
    throw new FileFault(
      `every record must lie inside of the file's ${source.size} bytes`,
      `${JSON.stringify(record.name.slice(0, 100))}, which ends at ${begin + record.length}`,
    );
  }
  return begin;
}
