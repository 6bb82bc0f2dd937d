/** Reads the records of JSON, JSONL, CSV, TSV and text files one after the other, each with its line. */
import { CsvError, parse as parseCsv } from 'csv-parse';
import { FormatError } from '../errors.ts';
import { JsonSplitter } from './json-splitter.ts';
import { findJsonProblem } from './json-text.ts';
import { LineSplitter } from './line-splitter.ts';
import { readTextBytes } from './row-bytes.ts';
import { type FileRecord, maxRowBytes, maxRowDepth, type RecordFault } from './row-record.ts';

/** File formats that hold rows as text. */
export type TextRowFormat = 'json' | 'jsonl' | 'csv' | 'tsv' | 'txt';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const key in value) if (isDeeper((value as Record<string, unknown>)[key], levels - 1)) return true;
  return false;
}

function faulty(line: number, fault: RecordFault): FileRecord {
  return { line, value: undefined, fault };
}

function parseJson(bytes: Uint8Array, line: number): FileRecord {
  const text = decode(bytes);
  if (text === undefined) return faulty(line, { kind: 'encoding' });
  try {
    const value: unknown = JSON.parse(text);
    if (isDeeper(value, maxRowDepth)) return faulty(line, { kind: 'depth', maxDepth: maxRowDepth });
    return { line, value };
  } catch (error) {
    const found = findJsonProblem(text);
    return faulty(line, { kind: 'syntax', problem: found?.problem ?? (error as Error).message });
  }
}

const isBlank = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);

async function* readLines(path: string): AsyncGenerator<ReturnType<LineSplitter['push']>> {
  const splitter = new LineSplitter();
  for await (const chunk of readTextBytes(path)) yield splitter.push(chunk);
  yield splitter.end();
}

async function* readJsonl(path: string): AsyncGenerator<FileRecord[]> {
  for await (const lines of readLines(path)) {
    const records: FileRecord[] = [];
    for (const { line, bytes } of lines) {
      if (bytes === undefined) records.push(faulty(line, { kind: 'too-long', maxBytes: maxRowBytes }));
      else if (!isBlank(bytes)) records.push(parseJson(bytes, line));
    }
    yield records;
  }
}

async function* readText(path: string): AsyncGenerator<FileRecord[]> {
  for await (const lines of readLines(path)) {
    const records: FileRecord[] = [];
    for (const { line, bytes } of lines) {
      if (bytes === undefined) records.push(faulty(line, { kind: 'too-long', maxBytes: maxRowBytes }));
      else if (!isBlank(bytes)) {
        const text = decode(bytes);
        records.push(text === undefined ? faulty(line, { kind: 'encoding' }) : { line, value: { text } });
      }
    }
    yield records;
  }
}

async function* readJson(path: string): AsyncGenerator<FileRecord[]> {
  const splitter = new JsonSplitter();
  const toRecords = (pieces: ReturnType<JsonSplitter['push']>): FileRecord[] =>
    pieces.map(({ line, bytes, fault }) => (bytes ? parseJson(bytes, line) : faulty(line, fault!)));
  for await (const chunk of readTextBytes(path)) yield toRecords(splitter.push(chunk));
  yield toRecords(splitter.end());
}

/** csv-parse gives this shape with `info: true`. */
interface CsvRecord {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

function checkHeader(names: readonly string[], file: string, line: number): readonly string[] {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new FormatError('csv-header', { file, line, name: twice });
  return names;
}

/** Line breaks inside quoted fields: a record begins that many lines before the one where it ends. */
function lineBreaks(fields: readonly string[]): number {
  let count = 0;
  for (const field of fields) for (let at = field.indexOf('\n'); at >= 0; at = field.indexOf('\n', at + 1)) count++;
  return count;
}

async function* readCsv(path: string, delimiter: string): AsyncGenerator<FileRecord[]> {
  const parser = parseCsv({
    delimiter,
    info: true,
    // Line ends of both kinds in one file are common where files were pasted together.
    record_delimiter: ['\r\n', '\n'],
    // TSV files in the wild hold bare quotes; CSV files do not.
    relax_quotes: delimiter === '\t',
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: maxRowBytes,
  });
  const checker = new TextDecoder('utf-8', { fatal: true });
  const feed = async (): Promise<void> => {
    for await (const chunk of readTextBytes(path)) {
      if (parser.destroyed) return;
      try {
        checker.decode(chunk, { stream: true });
      } catch {
        throw new FormatError('file-encoding', { file: path, encoding: 'bytes that are not UTF-8' });
      }
      if (!parser.write(chunk)) {
        await new Promise<void>((resolve) => {
          parser.once('drain', resolve);
          parser.once('close', resolve);
        });
      }
    }
    parser.end();
  };
  const fed = feed().catch((error: unknown) => parser.destroy(error as Error));
  let header: readonly string[] | undefined;
  let lastLine = 0;
  try {
    for await (const { record, info } of parser as AsyncIterable<CsvRecord>) {
      lastLine = info.lines;
      const line = lastLine - lineBreaks(record);
      const names: readonly string[] | undefined = header;
      if (names === undefined) {
        header = checkHeader(record, path, line);
      } else if (record.length !== names.length) {
        yield [faulty(line, { kind: 'fields', expected: names.length, actual: record.length })];
      } else {
        yield [{ line, value: Object.fromEntries(names.map((name, index) => [name, record[index]])) }];
      }
    }
    await fed;
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    // Quotes that do not fit leave no way to tell where the next row begins: the file is read no further.
    yield [faulty(lastLine + 1, { kind: 'quote', problem: error.message })];
  }
}

/**
 * The records of a text file in order, in small groups so that the cost of awaiting vanishes. Blank lines are no rows.
 * A `.json` file may be one array, or objects one after the other.
 * @throws FileError `file-unreadable`; FormatError `file-encoding`, `compressed-damaged`, `csv-header`.
 */
export function readTextRecords(path: string, format: TextRowFormat): AsyncGenerator<FileRecord[]> {
  switch (format) {
    case 'json':
      return readJson(path);
    case 'jsonl':
      return readJsonl(path);
    case 'csv':
      return readCsv(path, ',');
    case 'tsv':
      return readCsv(path, '\t');
    case 'txt':
      return readText(path);
  }
}
