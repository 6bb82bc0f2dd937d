import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Field,
  List,
  RecordBatchStreamWriter,
  Struct,
  Table,
  tableFromArrays,
  tableToIPC,
  Utf8,
  vectorFromArray,
} from 'apache-arrow';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FileRecord } from './row-record.ts';
import { readTableRecords, type TableRowFormat } from './table-records.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-tables-'));
});
afterAll(async () => rm(folder, { recursive: true }));

async function read(content: Uint8Array, format: TableRowFormat): Promise<FileRecord[]> {
  const path = join(folder, `rows.${format}`);
  await writeFile(path, content);
  const records: FileRecord[] = [];
  for await (const group of readTableRecords(path, format)) records.push(...group);
  return records;
}

const conversations = [[{ from: 'human', value: 'Hi' }], [{ from: 'human', value: 'Hé 你' }]];

describe('Parquet', () => {
  it('reads rows over several groups, nested values and whole numbers as plain data', async () => {
    const count = 2500;
    const bytes = new Uint8Array(
      parquetWriteBuffer({
        columnData: [
          { name: 'text', data: Array.from({ length: count }, (_, row) => `row ${row}`), type: 'STRING' },
          { name: 'id', data: Array.from({ length: count }, (_, row) => BigInt(row)), type: 'INT64' },
          {
            name: 'conversations',
            data: Array.from({ length: count }, (_, row) => conversations[row % 2]!),
            type: 'JSON',
          },
        ],
        rowGroupSize: 1000,
      }),
    );
    const rows = await read(bytes, 'parquet');
    expect(rows).toHaveLength(count);
    expect(rows[2499]).toEqual({ line: 0, value: { text: 'row 2499', id: 2499, conversations: conversations[1] } });
  });
  it('names damage', async () => {
    await expect(read(new Uint8Array(100), 'parquet')).rejects.toThrow(
      /rows\.parquet: must be whole Parquet data, got damaged bytes \(.*\)\. Copy/,
    );
    await expect(readTableRecords(join(folder, 'none.parquet'), 'parquet').next()).rejects.toThrow(
      'no such file or folder',
    );
  });
});

describe('Arrow', () => {
  const table = tableFromArrays({ text: ['a', 'é'], id: BigInt64Array.of(1n, 2n) });
  it('reads the file format and the stream format', async () => {
    const expected = [
      { line: 0, value: { text: 'a', id: 1 } },
      { line: 0, value: { text: 'é', id: 2 } },
    ];
    expect(await read(tableToIPC(table, 'file'), 'arrow')).toEqual(expected);
    expect(await read(tableToIPC(table, 'stream'), 'arrow')).toEqual(expected);
  });
  it('reads lists of objects', async () => {
    const turn = new Struct([new Field('from', new Utf8()), new Field('value', new Utf8())]);
    const type = new List(new Field('item', turn));
    const nested = new Table({ conversations: vectorFromArray(conversations, type as never) });
    const writer = RecordBatchStreamWriter.writeAll(nested);
    expect(await read(await writer.toUint8Array(), 'arrow')).toEqual(
      conversations.map((value) => ({ line: 0, value: { conversations: value } })),
    );
  });
  it('names damage', async () => {
    await expect(read(tableToIPC(table, 'stream').slice(0, 60), 'arrow')).rejects.toThrow(
      /rows\.arrow: must be whole Arrow data, got damaged bytes/,
    );
  });
});
