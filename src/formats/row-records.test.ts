import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JsonSplitter } from './json-splitter.ts';
import { LineSplitter } from './line-splitter.ts';
import type { FileRecord } from './row-record.ts';
import { readTextRecords, type TextRowFormat } from './row-records.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-rows-'));
});
afterAll(async () => rm(folder, { recursive: true }));

async function read(content: string | Uint8Array, format: TextRowFormat): Promise<FileRecord[]> {
  const path = join(folder, `rows.${format}`);
  await writeFile(path, content);
  const records: FileRecord[] = [];
  for await (const group of readTextRecords(path, format)) records.push(...group);
  return records;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('JSON', () => {
  it('reads an array with the line of each row', async () => {
    expect(await read('[\n  {"a": 1},\n  {\n    "a": [2, "}]"]\n  }\n]\n', 'json')).toEqual([
      { line: 2, value: { a: 1 } },
      { line: 3, value: { a: [2, '}]'] } },
    ]);
  });
  it('reads objects one after the other, and bare values', async () => {
    expect(await read('{"a": "x\\"y"}\n{"a": 2} {"a": 3}', 'json')).toEqual([
      { line: 1, value: { a: 'x"y' } },
      { line: 2, value: { a: 2 } },
      { line: 2, value: { a: 3 } },
    ]);
    expect(await read('[1, "two", null,true]', 'json')).toEqual(
      [1, 'two', null, true].map((value) => ({ line: 1, value })),
    );
  });
  it('finds the same rows however the bytes are cut', () => {
    const text = '\r\n[ {"é": "\\\\\\"]"} ,\n"x", -1.5e3,{"b":[[],{}]}\n]  ';
    const whole = new JsonSplitter();
    const expected = [...whole.push(bytes(text)), ...whole.end()].map((p) => [
      p.line,
      new TextDecoder().decode(p.bytes),
    ]);
    expect(expected).toEqual([
      [2, '{"é": "\\\\\\"]"}'],
      [3, '"x"'],
      [3, '-1.5e3'],
      [3, '{"b":[[],{}]}'],
    ]);
    for (const size of [1, 2, 3, 7]) {
      const splitter = new JsonSplitter();
      const pieces = [];
      for (let at = 0; at < bytes(text).length; at += size)
        pieces.push(...splitter.push(bytes(text).slice(at, at + size)));
      pieces.push(...splitter.end());
      expect(pieces.map((p) => [p.line, new TextDecoder().decode(p.bytes)])).toEqual(expected);
    }
  });
  it('reports a broken row alone and goes on', async () => {
    const rows = await read(
      '[\n  {"a": 1},\n  {"a": "no end},\n  {"a": 3},\n  {"a": [4},\n  {"a": 5}\n  {"a": 6},\n  {"a" 7},\n  {"a": 8}\n]',
      'json',
    );
    expect(rows.map((r) => [r.line, r.value ?? r.fault])).toEqual([
      [2, { a: 1 }],
      [3, { kind: 'syntax', problem: 'a line break inside a string' }],
      [4, { a: 3 }],
      [5, { kind: 'syntax', problem: 'a bracket or a quote that does not fit here' }],
      [6, { a: 5 }],
      [7, { kind: 'array', expected: '"," before this row', actual: '"{"' }],
      [8, { kind: 'syntax', problem: '"7" instead of ":"' }],
      [9, { a: 8 }],
    ]);
  });
  it('goes on behind a broken row of an array without line breaks, or with indented rows', async () => {
    const good = (id: number): object => ({ id, turns: [{ role: 'a' }, { role: 'b' }] });
    const compact = [1, 2, 3, 4, 5].map((id) => JSON.stringify(good(id)));
    compact[2] = '{"id":3,"turns":[{"role":"a"},{"role":"b"}}';
    const pretty = [1, 2, 3, 4, 5].map((id) => JSON.stringify(good(id), null, 2).replaceAll('\n', '\n  '));
    pretty[2] = pretty[2]!.replace('"a"', '"a');
    for (const text of [`[${compact.join(',')}]`, `[\n  ${pretty.join(',\n  ')}\n]`]) {
      const rows = await read(text, 'json');
      expect(rows.map(({ value }) => (value as { id: number } | undefined)?.id)).toEqual([1, 2, undefined, 4, 5]);
      expect(rows[3]!.value).toEqual(good(4));
      expect(rows[2]!.fault!.kind).toBe('syntax');
    }
    const broken = ['{"a":1', '{"a":[1}', '{"a":"x" "b"}', '{"a":{"b":1}', '{"a":"b}', '{"a":1]}', '{{"a":1}}'];
    for (const row of broken) {
      for (const separator of [',', ',\n', ' , ']) {
        // Without a line break, a string without an end takes the next row's first quote for its own.
        if (row === '{"a":"b}' && separator !== ',\n') continue;
        const rows = await read(`[${['{"a":0}', row, '{"a":2}', '{"a":3}'].join(separator)}]`, 'json');
        const values = rows.map(({ value }) => (value as { a: number } | undefined)?.a);
        expect([row, separator, values]).toEqual([row, separator, [0, undefined, 2, 3]]);
      }
    }
    expect((await read(`[\n  ${pretty.join(',\n  ')}\n]`, 'json')).map(({ line }) => line)).toEqual([
      2, 13, 24, 35, 46,
    ]);
  });
  it('reports an array that does not end, and one that goes on', async () => {
    expect((await read('[{"a": 1},\n', 'json')).at(-1)).toEqual({
      line: 2,
      value: undefined,
      fault: { kind: 'array', expected: '"]" after the last row', actual: 'the end of the file' },
    });
    expect((await read('[{"a": 1', 'json')).at(-1)!.fault).toEqual({
      kind: 'array',
      expected: '"}"',
      actual: 'the end of the file',
    });
    expect((await read('[1,]', 'json')).at(-1)!.fault).toEqual({
      kind: 'array',
      expected: 'a row after ","',
      actual: '"]"',
    });
    expect((await read('[1]\n[2]', 'json')).at(-1)!.fault).toEqual({
      kind: 'array',
      expected: 'the end of the file after "]"',
      actual: '"["',
    });
  });
  it('bounds the length and the depth of a row', async () => {
    const splitter = new JsonSplitter(10);
    expect(
      [...splitter.push(bytes('[{"a": "0123456789"}, {"a":1}]')), ...splitter.end()].map((p) => p.fault?.kind),
    ).toEqual(['too-long', undefined]);
    const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
    expect((await read(`{"a":${deep(127)}}\n{"a":${deep(100_000)}}`, 'jsonl')).map((r) => r.fault?.kind)).toEqual([
      undefined,
      'depth',
    ]);
  });
});

describe('JSONL', () => {
  it('drops the byte order mark, reads CRLF, skips blank lines and keeps line numbers', async () => {
    expect(await read('\uFEFF{"a": 1}\r\n\r\n{"a": 2}\r\n{"a": }\n', 'jsonl')).toEqual([
      { line: 1, value: { a: 1 } },
      { line: 3, value: { a: 2 } },
      { line: 4, value: undefined, fault: { kind: 'syntax', problem: '"}" instead of a value' } },
    ]);
  });
  it('refuses UTF-16 by name and reports a row that is no UTF-8', async () => {
    const path = join(folder, 'rows.jsonl');
    await expect(read(Buffer.from('\uFEFF{"a": 1}', 'utf16le'), 'jsonl')).rejects.toThrow(
      `${path}: must be UTF-8 text, got UTF-16`,
    );
    await expect(read(Buffer.from('{"a": 1}', 'utf16le'), 'jsonl')).rejects.toThrow('UTF-16');
    const rows = await read(Buffer.concat([bytes('{"a":"'), Uint8Array.of(0xff), bytes('"}\n{"a":1}')]), 'jsonl');
    expect(rows.map((r) => r.fault?.kind)).toEqual(['encoding', undefined]);
  });
  it('unpacks gzip by its first bytes and names damage', async () => {
    const packed = gzipSync('{"a": 1}\n{"a": 2}\n');
    expect(await read(packed, 'jsonl')).toHaveLength(2);
    await expect(read(packed.subarray(0, -9), 'jsonl')).rejects.toThrow(
      /rows\.jsonl: must be whole gzip data, got damaged bytes/,
    );
  });
  it('bounds the length of a line', () => {
    const splitter = new LineSplitter(4);
    expect(
      [...splitter.push(bytes('12345\n12')), ...splitter.push(bytes('3\n')), ...splitter.end()].map(
        (l) => l.bytes?.length,
      ),
    ).toEqual([undefined, 3]);
  });
});

describe('CSV, TSV and text', () => {
  it('reads quoted fields over several lines, with the line where each record begins', async () => {
    expect(await read('\uFEFFq,a\r\n"one\ntwo, ""three""",x\r\n\r\ny,z', 'csv')).toEqual([
      { line: 2, value: { q: 'one\ntwo, "three"', a: 'x' } },
      { line: 5, value: { q: 'y', a: 'z' } },
    ]);
    expect(await read('q\ta\na "b" c\tx,y\n', 'tsv')).toEqual([{ line: 2, value: { q: 'a "b" c', a: 'x,y' } }]);
  });
  it('reports records of another width, quotes that do not fit, and a header with a name twice', async () => {
    expect((await read('q,a\n1,2,3\n4,5\n"6,7', 'csv')).map((r) => r.fault?.kind)).toEqual([
      'fields',
      undefined,
      'quote',
    ]);
    await expect(read('q,q\n', 'csv')).rejects.toThrow(
      /rows\.csv:1: each column must have a name of its own, got "q" twice/,
    );
    await expect(read(Uint8Array.of(0x71, 0x0a, 0xff, 0x0a, 0x0a), 'csv')).rejects.toThrow(
      'got bytes that are not UTF-8',
    );
  });
  it('makes a row of each line of text that is not blank', async () => {
    expect(await read('one\n\n two\r\n', 'txt')).toEqual([
      { line: 1, value: { text: 'one' } },
      { line: 3, value: { text: ' two' } },
    ]);
  });
  it('names a file that is not there', async () => {
    const missing = join(folder, 'none.csv');
    await expect(readTextRecords(missing, 'csv').next()).rejects.toThrow(
      `${missing}: cannot be read: no such file or folder`,
    );
  });
});
