/** One record of a data file: its value, or why it has none, and where it stands. */

/** Longer rows are refused: the longest novels are about 10 MB, and a row without an end must not fill the memory. */
export const maxRowBytes = 64 * 1024 * 1024;

/** Deeper nesting than any conversation has; keeps code that recurses over values safe. */
export const maxRowDepth = 128;

/** Why a record has no value. The texts stand in the catalogue of the data room. */
export type RecordFault =
  /** `JSON.parse` refuses it: `problem` and, where known, its place inside the record. */
  | { readonly kind: 'syntax'; readonly problem: string }
  | { readonly kind: 'encoding' }
  | { readonly kind: 'depth'; readonly maxDepth: number }
  | { readonly kind: 'too-long'; readonly maxBytes: number }
  /** The array of a JSON file is not followed, separated or closed as it must be. */
  | { readonly kind: 'array'; readonly expected: string; readonly actual: string }
  /** A CSV record with another number of fields than the header. */
  | { readonly kind: 'fields'; readonly expected: number; readonly actual: number }
  | { readonly kind: 'quote'; readonly problem: string };

/** A record of a data file. */
export interface FileRecord {
  /** The line where it begins, counted from 1; 0 in files that have no lines (Parquet, Arrow). */
  readonly line: number;
  /** What was read: an object, or whatever else stood there. Undefined where `fault` says why there is none. */
  readonly value: unknown;
  readonly fault?: RecordFault;
}
