/** W + s·B·A for blocks of rows, in plain JavaScript: sums in f64, rounded to f32 where torch rounds. */

/** Left and right factors of a weight's change: left f32[rows, R], right f32[R, columns], both in the weight's own layout. */
export interface LowRankChange {
  readonly rank: number;
  readonly left: Float32Array;
  readonly right: Float32Array;
  readonly scale: number;
}

/** f32[rows, columns] -> f32[columns, rows]. */
export function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = matrix[row * columns + column]!;
    }
  }
  return result;
}

/**
 * Adds scale · left · right to rows of a weight, in place. The product is rounded to f32, then the scaled product, then
 * the sum: as torch computes `W + scaling * (B @ A)`.
 * @param block f32[rows, columns], rows `firstRow` and on of the weight
 */
export function addLowRank(block: Float32Array, firstRow: number, columns: number, change: LowRankChange): void {
  const { rank, left, right } = change;
  const scale = Math.fround(change.scale);
  const rows = block.length / columns;
  const sums = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    const factors = (firstRow + row) * rank;
    sums.fill(0);
    let k = 0;
    // Four rows of the right factor at once: one pass over the sums instead of four.
    for (; k + 4 <= rank; k += 4) {
      const c0 = left[factors + k]!;
      const c1 = left[factors + k + 1]!;
      const c2 = left[factors + k + 2]!;
      const c3 = left[factors + k + 3]!;
      const r0 = k * columns;
      const r1 = r0 + columns;
      const r2 = r1 + columns;
      const r3 = r2 + columns;
      for (let j = 0; j < columns; j++) {
        sums[j] = sums[j]! + c0 * right[r0 + j]! + c1 * right[r1 + j]! + c2 * right[r2 + j]! + c3 * right[r3 + j]!;
      }
    }
    for (; k < rank; k++) {
      const c = left[factors + k]!;
      const r = k * columns;
      for (let j = 0; j < columns; j++) sums[j] = sums[j]! + c * right[r + j]!;
    }
    const base = row * columns;
    for (let j = 0; j < columns; j++) {
      block[base + j] = block[base + j]! + Math.fround(Math.fround(sums[j]!) * scale);
    }
  }
}
