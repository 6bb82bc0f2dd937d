/** Reads the rows of Parquet and Arrow files as records like those of text files. They have no lines: the line is 0. */
import { open } from 'node:fs/promises';
import { FormatError } from '../errors.ts';
import { readError } from './file-errors.ts';
import { type FileRecord, maxRowDepth } from './row-record.ts';

/** File formats that hold rows as columns. */
export type TableRowFormat = 'parquet' | 'arrow';

/** A row group is read whole; larger ones than this are refused. Writers make them of some hundred MB at most. */
const maxGroupBytes = 2 ** 31;
/** Rows that are handed on together. */
const rowsPerStep = 1024;

/** A value of a table as JSON has it: whole numbers and dates plain, nested values as lists and objects. */
function plain(value: unknown, depth = 0): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return value.toISOString();
  if (depth > maxRowDepth) return undefined;
  if (ArrayBuffer.isView(value))
    return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : Array.from(value as Int32Array);
  if (Array.isArray(value)) return value.map((item) => plain(item, depth + 1));
  if ('toJSON' in value && typeof value.toJSON === 'function')
    return plain((value.toJSON as () => unknown)(), depth + 1);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item, depth + 1)]));
}

const record = (row: unknown): FileRecord => ({ line: 0, value: plain(row) });

function damaged(file: string, format: string, error: unknown): Error {
  const problem = error instanceof Error ? error.message.split('\n')[0]! : String(error);
  return new FormatError('table-invalid', { file, format, problem }, { cause: error });
}

/** Opens a file once so that a missing one is named before any library reads it. */
async function requireReadable(path: string): Promise<void> {
  try {
    await (await open(path, 'r')).close();
  } catch (error) {
    throw readError(error, path);
  }
}

async function* readParquet(path: string): AsyncGenerator<FileRecord[]> {
  await requireReadable(path);
  const [{ asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects }, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet-compressors'),
  ]);
  let rowStart = 0;
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    for (const group of metadata.row_groups) {
      if (Number(group.total_byte_size) > maxGroupBytes) {
        throw new FormatError('table-group-too-large', {
          file: path,
          bytes: Number(group.total_byte_size),
          maxBytes: maxGroupBytes,
        });
      }
      const rowEnd = rowStart + Number(group.num_rows);
      const rows = await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd });
      for (let at = 0; at < rows.length; at += rowsPerStep) yield rows.slice(at, at + rowsPerStep).map(record);
      rowStart = rowEnd;
    }
  } catch (error) {
    throw error instanceof FormatError ? error : damaged(path, 'Parquet', error);
  }
}

async function* readArrow(path: string): AsyncGenerator<FileRecord[]> {
  await requireReadable(path);
  const { RecordBatchReader } = await import('apache-arrow');
  const file = await open(path, 'r');
  try {
    // Both kinds: the file format with its footer, and the stream that Hugging Face's `datasets` writes.
    const reader = await RecordBatchReader.from(file);
    for await (const batch of reader) {
      for (let at = 0; at < batch.numRows; at += rowsPerStep) {
        const records: FileRecord[] = [];
        for (let row = at; row < Math.min(batch.numRows, at + rowsPerStep); row++) records.push(record(batch.get(row)));
        yield records;
      }
    }
  } catch (error) {
    throw damaged(path, 'Arrow', error);
  } finally {
    await file.close().catch(() => undefined);
  }
}

/**
 * The rows of a table in order, in small groups.
 * @throws FileError `file-unreadable`; FormatError `table-invalid`, `table-group-too-large`.
 */
export function readTableRecords(path: string, format: TableRowFormat): AsyncGenerator<FileRecord[]> {
  return format === 'parquet' ? readParquet(path) : readArrow(path);
}
