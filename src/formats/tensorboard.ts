/**
 * TensorBoard event files: scalars only. TFRecord framing (length, masked CRC-32C) around Event messages
 * (tensorflow/core/util/event.proto); every write is one whole record, so that a reader of a growing file sees whole ones.
 */
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { maskedCrc32c } from './crc32c.ts';
import { readError, writeError } from './file-errors.ts';

/** One value of an event file. */
export interface TensorBoardScalar {
  /** e.g. `train/loss`. */
  readonly tag: string;
  readonly step: number;
  /** Stored as f32. */
  readonly value: number;
}

/** Where to write, and how to go on after a resume. */
export interface TensorBoardOptions {
  /** Continue the newest file below the folder and drop what it has beyond this step; left out, begin a new file. */
  readonly resumeStep?: number;
  /** Seconds since 1970, fractions allowed. */
  readonly clock?: () => number;
}

const eventFilePrefix = 'events.out.tfevents.';
/** Length, its checksum, and the data's checksum. */
const frameBytes = 8 + 4 + 4;
/** A scalar's record takes well under 1 KB; a larger one comes from another program and is kept as it is up to this size. */
const maxRecordBytes = 64 * 1024 * 1024;

// Field numbers of Event, Summary and Summary.Value.
const event = { wallTime: 1, step: 2, fileVersion: 3, summary: 5 } as const;
const summaryValue = 1;
const value = { tag: 1, simpleValue: 2 } as const;

function encodeVersion(wallTime: number): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(event.wallTime, WireType.Bit64).double(wallTime);
  writer.tag(event.fileVersion, WireType.LengthDelimited).string('brain.Event:2');
  return writer.finish();
}

function encodeScalars(wallTime: number, step: number, scalars: Readonly<Record<string, number>>): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(event.wallTime, WireType.Bit64).double(wallTime);
  writer.tag(event.step, WireType.Varint).int64(step);
  writer.tag(event.summary, WireType.LengthDelimited).fork();
  for (const [tag, scalar] of Object.entries(scalars)) {
    writer.tag(summaryValue, WireType.LengthDelimited).fork();
    writer.tag(value.tag, WireType.LengthDelimited).string(tag);
    writer.tag(value.simpleValue, WireType.Bit32).float(scalar);
    writer.join();
  }
  writer.join();
  return writer.finish();
}

function frame(data: Uint8Array): Uint8Array {
  const record = Buffer.alloc(frameBytes + data.length);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc32c(data), 12 + data.length);
  return record;
}

/** One record of a file: its data, and where it ends. */
interface EventRecord {
  readonly data: Uint8Array;
  readonly end: number;
}

/** The whole records of a file, up to the first that is cut off or damaged. */
function* records(bytes: Buffer): Generator<EventRecord> {
  let position = 0;
  while (position + frameBytes <= bytes.length) {
    const length = Number(bytes.readBigUInt64LE(position));
    const end = position + frameBytes + length;
    if (length > maxRecordBytes || end > bytes.length) return;
    if (bytes.readUInt32LE(position + 8) !== maskedCrc32c(bytes.subarray(position, position + 8))) return;
    const data = bytes.subarray(position + 12, position + 12 + length);
    if (bytes.readUInt32LE(position + 12 + length) !== maskedCrc32c(data)) return;
    yield { data, end };
    position = end;
  }
}

/** The scalars of one event, or none where it is another kind of event. */
function decodeEvent(data: Uint8Array): { step: number; scalars: [tag: string, value: number][] } {
  const reader = new BinaryReader(data);
  let step = 0;
  const scalars: [string, number][] = [];
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === event.step && wire === WireType.Varint) step = Number(reader.int64());
    else if (field === event.summary && wire === WireType.LengthDelimited)
      scalars.push(...decodeSummary(reader.bytes()));
    else reader.skip(wire);
  }
  return { step, scalars };
}

function decodeSummary(data: Uint8Array): [string, number][] {
  const reader = new BinaryReader(data);
  const scalars: [string, number][] = [];
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field !== summaryValue || wire !== WireType.LengthDelimited) reader.skip(wire);
    else {
      const scalar = decodeValue(reader.bytes());
      if (scalar) scalars.push(scalar);
    }
  }
  return scalars;
}

function decodeValue(data: Uint8Array): [string, number] | undefined {
  const reader = new BinaryReader(data);
  let tag: string | undefined;
  let number: number | undefined;
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === value.tag && wire === WireType.LengthDelimited) tag = reader.string();
    else if (field === value.simpleValue && wire === WireType.Bit32) number = reader.float();
    else reader.skip(wire);
  }
  return tag === undefined || number === undefined ? undefined : [tag, number];
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    const handle = await open(path, 'r');
    try {
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw readError(error, path);
  }
}

/**
 * The scalars of an event file, up to its first damaged record.
 * @throws FileError `file-unreadable`
 */
export async function readTensorBoardScalars(path: string): Promise<TensorBoardScalar[]> {
  const scalars: TensorBoardScalar[] = [];
  for (const { data } of records(await readBytes(path))) {
    const { step, scalars: values } = decodeEvent(data);
    for (const [tag, number] of values) scalars.push({ tag, step, value: number });
  }
  return scalars;
}

/** The newest event file below a folder, or undefined. Names begin with the second of their making. */
async function newestEventFile(folder: string): Promise<string | undefined> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw readError(error, folder);
  });
  const files = entries.filter((entry) => entry.isFile() && entry.name.startsWith(eventFilePrefix));
  const newest = files.sort((a, b) => (a.name < b.name ? -1 : 1)).at(-1);
  return newest && join(newest.parentPath, newest.name);
}

/** How many bytes of an event file hold whole records of steps up to `lastStep`. */
function bytesThrough(bytes: Buffer, lastStep: number): number {
  let kept = 0;
  for (const { data, end } of records(bytes)) {
    if (decodeEvent(data).step > lastStep) break;
    kept = end;
  }
  return kept;
}

/** Appends scalars to one event file. */
export class TensorBoardWriter {
  /** The event file. */
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #clock: () => number;

  private constructor(path: string, handle: FileHandle, clock: () => number) {
    this.path = path;
    this.#handle = handle;
    this.#clock = clock;
  }

  /**
   * Begins an event file below `folder` (`<folder>/<time>_<host>/events.out.tfevents.*`), or goes on
   * with the newest one there.
   * @throws FileError `file-unwritable`, `file-unreadable`, `disk-full`
   */
  static async open(folder: string, options: TensorBoardOptions = {}): Promise<TensorBoardWriter> {
    const clock = options.clock ?? (() => Date.now() / 1000);
    const old = options.resumeStep === undefined ? undefined : await newestEventFile(folder);
    const path = old ?? newPath(folder, clock());
    try {
      if (old === undefined) await mkdir(join(path, '..'), { recursive: true });
      else await cutAfter(old, options.resumeStep!);
      const writer = new TensorBoardWriter(path, await open(path, 'a'), clock);
      if ((await writer.#handle.stat()).size === 0) await writer.#append(encodeVersion(clock()));
      return writer;
    } catch (error) {
      throw await writeError(error, path);
    }
  }

  async #append(data: Uint8Array): Promise<void> {
    try {
      await this.#handle.appendFile(frame(data));
    } catch (error) {
      throw await writeError(error, this.path);
    }
  }

  /**
   * Writes the scalars of one step as one record, which reaches the file before this returns.
   * @param scalars tag -> value, e.g. `{'train/loss': 2.1}`
   * @throws FileError `disk-full`, `file-unwritable`
   */
  async write(step: number, scalars: Readonly<Record<string, number>>): Promise<void> {
    await this.#append(encodeScalars(this.#clock(), step, scalars));
  }

  /** Closes the file. */
  async close(): Promise<void> {
    await this.#handle.close();
  }
}

function newPath(folder: string, seconds: number): string {
  const time = new Date(seconds * 1000).toISOString().slice(0, 19).replaceAll(':', '-');
  const host = hostname().replaceAll(/[^A-Za-z0-9.-]/g, '-') || 'host';
  const second = String(Math.floor(seconds)).padStart(10, '0');
  return join(folder, `${time}_${host}`, `${eventFilePrefix}${second}.${host}.${process.pid}.0`);
}

/** Drops the records of later steps, and one that a killed process left half-written. */
async function cutAfter(path: string, lastStep: number): Promise<void> {
  const bytes = await readBytes(path);
  const kept = bytesThrough(bytes, lastStep);
  if (kept === bytes.length) return;
  const handle = await open(path, 'r+');
  try {
    await handle.truncate(kept);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
