/** CSV files without a header, as the questions of MMLU are: all cells of all lines. */
import { CsvError, parse } from 'csv-parse/sync';
import { FormatError } from '../errors.ts';
import { readTextFile } from './json-file.ts';

/** Largest table that is read at once: the questions of one subject have some hundred kB. */
const maxTableBytes = 64 * 1024 * 1024;

/** A line of a table. */
export interface TableLine {
  /** Counted from 1. */
  readonly line: number;
  readonly cells: readonly string[];
}

/**
 * Reads a table.
 * @throws FileError `file-unreadable`; FormatError `csv-syntax` and those of `readTextFile`.
 */
export async function readCsvTable(path: string): Promise<readonly TableLine[]> {
  const text = await readTextFile(path, maxTableBytes);
  try {
    const rows = parse(text, {
      bom: true,
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
    }) as unknown as {
      readonly record: readonly string[];
      readonly info: { readonly lines: number };
    }[];
    return rows.map(({ record, info }) => ({ line: info.lines, cells: record }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const line = error instanceof CsvError && typeof error['lines'] === 'number' ? error['lines'] : 1;
    throw new FormatError('csv-table', { file: path, line, reason }, { cause: error });
  }
}
