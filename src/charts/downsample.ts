/** Fewer points for long runs without losing a spike: what a pixel column shows is its first, lowest, highest and last point. */

/** Points in rising order of x; y may hold values that are not finite, which break the line. */
export interface Points {
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/**
 * Keeps at most four points for each of `columns` equal parts of the x range (first, minimum, maximum, last, in their
 * order). A column that holds a value that is not finite keeps one of them, so that the gap stays visible. Returns the
 * points as they are where they are few.
 */
export function downsample(points: Points, columns: number): Points {
  const count = points.x.length;
  const low = points.x[0] ?? 0;
  const high = points.x[count - 1] ?? 0;
  if (count <= columns * 2 || high <= low) return points;
  const x: number[] = [];
  const y: number[] = [];
  let start = 0;
  while (start < count) {
    const column = columnOf(points.x[start] ?? 0);
    let end = start;
    const keep = new Set<number>([start]);
    let lowest = -1;
    let highest = -1;
    let broken = -1;
    while (end < count && columnOf(points.x[end] ?? 0) === column) {
      const value = points.y[end] ?? Number.NaN;
      if (!Number.isFinite(value)) broken = broken < 0 ? end : broken;
      else {
        if (lowest < 0 || value < (points.y[lowest] ?? 0)) lowest = end;
        if (highest < 0 || value > (points.y[highest] ?? 0)) highest = end;
      }
      end++;
    }
    for (const index of [lowest, highest, broken, end - 1]) if (index >= 0) keep.add(index);
    for (const index of [...keep].sort((a, b) => a - b)) {
      x.push(points.x[index] ?? 0);
      y.push(points.y[index] ?? Number.NaN);
    }
    start = end;
  }
  return { x, y };

  function columnOf(value: number): number {
    return Math.min(columns - 1, Math.floor(((value - low) / (high - low)) * columns));
  }
}
