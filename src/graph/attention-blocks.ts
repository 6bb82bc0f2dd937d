/** The blocks of `causalAttention`: which queries run together, over which keys, and how many heads at a time. */

/** Sizes of blocks; tests choose small ones. */
export interface BlockSizes {
  /** Queries of a block. */
  readonly rows: number;
  /** Bytes of the scores of one pass: heads are taken a few at a time where a block has more. */
  readonly maxScoreBytes: number;
}

/**
 * Measured (NOTES.md): smaller blocks compute less of the square in vain, larger ones copy keys and values less often;
 * scores that stay in the processor's cache halve the time of long rows.
 */
export const defaultBlockSizes: BlockSizes = { rows: 128, maxScoreBytes: 8e6 };

/** Query heads of a model, and the key heads that they share. */
export interface HeadCounts {
  readonly heads: number;
  readonly groups: number;
}

/** Key heads whose scores of `queries` by `keys` are computed at a time: a divisor of all. */
export function headsAtATime(
  queries: number,
  keys: number,
  { heads, groups }: HeadCounts,
  sizes: BlockSizes = defaultBlockSizes,
): number {
  const bytes = queries * keys * (heads / groups) * 4;
  for (let count = groups; count > 1; count--) {
    if (groups % count === 0 && count * bytes <= sizes.maxScoreBytes) return count;
  }
  return 1;
}

/** One block for each row of `blocks` in `BlockLayout`. */
export interface AttentionBlocks {
  /** Row-major [count, 4]. */
  readonly table: readonly number[];
  readonly count: number;
  /** First token of each token's sequence. */
  readonly starts: Float32Array;
}

/**
 * Cuts sequences that lie one after the other. Long ones are cut into blocks of about equal size; short neighbours share
 * a block as long as it stays small, since a block costs a little whatever its size.
 */
export function planAttentionBlocks(
  lengths: readonly number[],
  counts: HeadCounts,
  sizes: BlockSizes = defaultBlockSizes,
): AttentionBlocks {
  const { rows } = sizes;
  const table: number[] = [];
  const starts = new Float32Array(lengths.reduce((sum, length) => sum + length, 0));
  const add = (begin: number, end: number, firstKey: number): void => {
    table.push(begin, end, firstKey, headsAtATime(end - begin, end - firstKey, counts, sizes));
  };
  let start = 0;
  let shared: number | undefined;
  for (const length of lengths) {
    const end = start + length;
    starts.fill(start, start, end);
    const fits = shared !== undefined && end - shared <= rows / 2;
    if (shared !== undefined && !fits) {
      add(shared, start, shared);
      shared = undefined;
    }
    if (length <= rows / 2) {
      shared ??= start;
    } else {
      const pieces = Math.ceil(length / rows);
      for (let i = 0; i < pieces; i++) {
        add(start + Math.floor((i * length) / pieces), start + Math.floor(((i + 1) * length) / pieces), start);
      }
    }
    start = end;
  }
  if (shared !== undefined) add(shared, start, shared);
  return { table, count: table.length / 4, starts };
}
