/** Writes rows to a Parquet file group by group, so that memory is one group's. */
import { writeAtomically } from './atomic-file.ts';
import { writeError } from './file-errors.ts';

/** What a column holds: whole numbers, texts, or lists of numbers. */
export type ParquetColumnType = 'int32' | 'text' | 'int32-list' | 'float-list';

/** Values of a column of one group. */
export type ParquetValues = readonly (number | string | ArrayLike<number>)[];

interface SchemaElement {
  readonly name: string;
  readonly type?: 'INT32' | 'FLOAT' | 'BYTE_ARRAY';
  readonly converted_type?: 'LIST' | 'UTF8';
  readonly repetition_type?: 'REQUIRED' | 'REPEATED';
  readonly num_children?: number;
}

function elements(name: string, type: ParquetColumnType): SchemaElement[] {
  if (type === 'int32') return [{ name, type: 'INT32', repetition_type: 'REQUIRED' }];
  if (type === 'text') return [{ name, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' }];
  // The three levels that every reader takes for a list.
  return [
    { name, converted_type: 'LIST', repetition_type: 'REQUIRED', num_children: 1 },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', type: type === 'int32-list' ? 'INT32' : 'FLOAT', repetition_type: 'REQUIRED' },
  ];
}

/**
 * Writes a Parquet file atomically. Each group gives the values of every column, all of one length.
 * @param metadata texts that are stored in the file's footer.
 * @throws FileError `disk-full`, `file-unwritable`.
 */
export async function writeParquet<N extends string>(
  path: string,
  columns: Readonly<Record<N, ParquetColumnType>>,
  groups: AsyncIterable<Readonly<Record<N, ParquetValues>>>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { ByteWriter, ParquetWriter } = await import('hyparquet-writer');
  const names = Object.keys(columns) as N[];
  const schema: SchemaElement[] = [
    { name: 'root', num_children: names.length },
    ...names.flatMap((name) => elements(name, columns[name])),
  ];
  await writeAtomically(path, async (file) => {
    const bytes = new ByteWriter();
    const flush = async (): Promise<void> => {
      const pending = new Uint8Array(bytes.buffer, 0, bytes.index);
      try {
        for (let at = 0; at < pending.length;) at += (await file.write(pending, at)).bytesWritten;
      } catch (error) {
        throw await writeError(error, path, pending.length);
      }
      bytes.index = 0;
    };
    const writer = new ParquetWriter({
      writer: bytes,
      schema,
      statistics: false,
      kvMetadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
      createdBy: 'fettle',
    });
    for await (const group of groups) {
      const rows = group[names[0]!].length;
      if (rows === 0) continue;
      const columnData = names.map((name) => ({ name, data: listsOf(group[name]), offsetIndex: false }));
      await writer.write({ columnData, rowGroupSize: rows });
      await flush();
    }
    await writer.finish();
    await flush();
  });
}

/** The writer wants plain arrays for lists. */
function listsOf(values: ParquetValues): (number | string | number[])[] {
  return values.map((value) => (typeof value === 'object' ? Array.from(value) : value));
}
