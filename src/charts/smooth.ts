/** Smoothing of a loss curve without lag: a straight line is fitted around each value and read off there. */

/**
 * How much a value counts against its neighbour. For short runs it follows LLaMA-Factory's weight w (`extras/ploting.py`),
 * which grows with the number of values, so that a handful is hardly smoothed; as values on both sides count, half its
 * window does: 1 - 2 (1 - w). For long runs the window is 1 % of the run.
 */
function neighbourWeight(count: number): number {
  const short = 1.8 * (1 / (1 + Math.exp(-0.05 * count)) - 0.5);
  return Math.max(0, 2 * short - 1, 1 - 100 / Math.max(count, 1));
}

/** Sums over the values on one side: weights w^d, times distance d, times d squared; and the values times w^d and d w^d. */
class Moments {
  s0 = 0;
  s1 = 0;
  s2 = 0;
  t0 = 0;
  t1 = 0;
  /** Moves on by one place: every distance grows by one, every weight falls by `weight`. */
  shift(weight: number): void {
    this.s2 = weight * (this.s2 + 2 * this.s1 + this.s0);
    this.s1 = weight * (this.s1 + this.s0);
    this.s0 *= weight;
    this.t1 = weight * (this.t1 + this.t0);
    this.t0 *= weight;
  }
  add(value: number): void {
    if (!Number.isFinite(value)) return;
    this.s0 += 1;
    this.t0 += value;
  }
}

/**
 * Local linear regression with the weights w^|i-j| (Cleveland, "LOWESS", 1979, with an exponential kernel, which makes it
 * one pass each way). Unlike the usual one-sided average it neither runs behind a falling curve nor bends at its ends.
 * Values that are not finite stay and do not enter.
 */
export function smooth(values: readonly number[]): number[] {
  const count = values.length;
  const weight = neighbourWeight(count);
  const right: (readonly number[])[] = Array.from({ length: count }, () => []);
  const after = new Moments();
  for (let i = count - 1; i >= 0; i--) {
    after.shift(weight);
    right[i] = [after.s0, after.s1, after.s2, after.t0, after.t1];
    after.add(values[i] ?? Number.NaN);
  }
  const before = new Moments();
  return values.map((value, i) => {
    before.shift(weight);
    before.add(value);
    if (!Number.isFinite(value)) return value;
    const [r0 = 0, r1 = 0, r2 = 0, v0 = 0, v1 = 0] = right[i] ?? [];
    // Distances to the left are negative.
    const [s0, s1, s2] = [before.s0 + r0, r1 - before.s1, before.s2 + r2];
    const [t0, t1] = [before.t0 + v0, v1 - before.t1];
    const determinant = s0 * s2 - s1 * s1;
    return determinant > 1e-12 * s0 * s0 ? (s2 * t0 - s1 * t1) / determinant : t0 / s0;
  });
}
