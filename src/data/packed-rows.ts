/**
 * Examples and tokenised rows as they travel between threads: texts as one JSON text, numbers as one array of each kind,
 * since thousands of small objects cost more to copy than to make. Knows no `node:` module.
 */
import type { EncodedExample } from './read-rows.ts';
import type { RowProblem } from './row.ts';
import type { EncodedRow } from './row-encoder.ts';

/** Tokenised rows of a group, in order. */
export interface PackedRows {
  /** For each row its number of sequences; -1: it has a problem, -2: the encoder threw. */
  readonly counts: Int32Array;
  /** u8[rows], 1 where a row was shortened. */
  readonly truncated: Uint8Array;
  /** For each sequence its number of tokens, negative where it has weights. */
  readonly lengths: Int32Array;
  /** Ids and labels of all sequences, and the weights of those that have any. */
  readonly inputIds: Int32Array;
  readonly labels: Int32Array;
  readonly weights: Float32Array;
  /** The problems of the rows that have one, in order. */
  readonly problems: readonly RowProblem[];
}

/** What became of a row in a worker: undefined where its encoder threw, so that the row must be encoded again to see why. */
export type UnpackedRow = EncodedExample | undefined;

/** Packs the rows of a group. Reasons and places of answers stay behind: only people ask for them. */
export function packRows(rows: readonly UnpackedRow[]): PackedRows {
  const sequences = rows.flatMap((row) => (row !== undefined && 'sequences' in row ? row.sequences : []));
  const tokens = sequences.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
  const weighted = sequences.reduce((sum, { weights }) => sum + (weights?.length ?? 0), 0);
  const packed = {
    counts: new Int32Array(rows.length),
    truncated: new Uint8Array(rows.length),
    lengths: new Int32Array(sequences.length),
    inputIds: new Int32Array(tokens),
    labels: new Int32Array(tokens),
    weights: new Float32Array(weighted),
    problems: [] as RowProblem[],
  };
  for (const [index, row] of rows.entries()) {
    if (row === undefined) packed.counts[index] = -2;
    else if ('problem' in row) {
      packed.counts[index] = -1;
      packed.problems.push(row.problem);
    } else {
      packed.counts[index] = row.sequences.length;
      packed.truncated[index] = row.truncated ? 1 : 0;
    }
  }
  let at = 0;
  let weightsAt = 0;
  for (const [index, { inputIds, labels, weights }] of sequences.entries()) {
    packed.lengths[index] = weights ? -inputIds.length : inputIds.length;
    packed.inputIds.set(inputIds, at);
    packed.labels.set(labels, at);
    at += inputIds.length;
    if (weights) packed.weights.set(weights, weightsAt);
    weightsAt += weights?.length ?? 0;
  }
  return packed;
}

/** The buffers of packed rows, which move to the other thread instead of being copied. */
export function buffersOf({ counts, truncated, lengths, inputIds, labels, weights }: PackedRows): ArrayBuffer[] {
  return [counts, truncated, lengths, inputIds, labels, weights].map(({ buffer }) => buffer as ArrayBuffer);
}

/** The rows of a packed group, as views of its arrays. */
export function unpackRows(packed: PackedRows): UnpackedRow[] {
  const { counts, truncated, lengths, inputIds, labels, weights, problems } = packed;
  let sequence = 0;
  let problem = 0;
  let at = 0;
  let weightsAt = 0;
  return Array.from(counts, (count, row): UnpackedRow => {
    if (count === -2) return undefined;
    if (count === -1) return { problem: problems[problem++]! };
    const sequences = Array.from({ length: count }, (): EncodedRow => {
      const length = Math.abs(lengths[sequence]!);
      const isWeighted = lengths[sequence]! < 0;
      const plain = { inputIds: inputIds.subarray(at, at + length), labels: labels.subarray(at, at + length) };
      at += length;
      sequence++;
      if (!isWeighted) return plain;
      weightsAt += length;
      return { ...plain, weights: weights.subarray(weightsAt - length, weightsAt) };
    });
    return { sequences, truncated: truncated[row] === 1 };
  });
}
