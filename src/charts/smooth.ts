/** Smoothing of a loss curve without lag: each value is averaged with its neighbours on both sides. */

/**
 * How far a value counts against its neighbour. For short runs LLaMA-Factory's weight (`extras/ploting.py`), which grows
 * with the number of values, so that a handful of values is hardly smoothed; for long ones a window of 1 % of the run.
 */
function neighbourWeight(count: number): number {
  const short = 1.8 * (1 / (1 + Math.exp(-0.05 * count)) - 0.5);
  return Math.max(short, 1 - 100 / Math.max(count, 1));
}

/**
 * Two-sided exponential average, normalised at the ends: s[i] = sum of w^|i-j| y[j] over sum of w^|i-j|. Unlike the usual
 * one-sided average it does not run behind a falling curve. Values that are not finite stay and do not enter.
 */
export function smooth(values: readonly number[]): number[] {
  const weight = neighbourWeight(values.length);
  const sums = new Float64Array(values.length);
  const weights = new Float64Array(values.length);
  for (const backwards of [false, true]) {
    let sum = 0;
    let total = 0;
    for (let k = 0; k < values.length; k++) {
      const i = backwards ? values.length - 1 - k : k;
      const value = values[i] ?? Number.NaN;
      sum *= weight;
      total *= weight;
      // The backward pass must not count the value itself a second time, so it adds what came before it.
      if (backwards) {
        sums[i] = (sums[i] ?? 0) + sum;
        weights[i] = (weights[i] ?? 0) + total;
      }
      if (Number.isFinite(value)) {
        sum += value;
        total += 1;
      }
      if (!backwards) {
        sums[i] = sum;
        weights[i] = total;
      }
    }
  }
  return values.map((value, i) => (Number.isFinite(value) ? (sums[i] ?? 0) / (weights[i] ?? 1) : value));
}
