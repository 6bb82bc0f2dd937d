/**
 * Intervals of 95 % for means and shares over independent items: Wilson's for shares, the percentile bootstrap for any
 * statistic. Seeded, so that the same results give the same interval.
 */
import { hashKey, RandomStream } from '../util/index.ts';

/** Lower and upper end. */
export type Interval = readonly [number, number];

/** The 97.5 % point of the normal distribution. */
export const z95 = 1.959963984540054;

/** Resamples of the bootstrap: the ends then move by less than a hundredth of the width from seed to seed. */
const defaultResamples = 2000;

/**
 * Wilson's score interval (Wilson 1927) of a share seen on `count` independent items; [0, 1] where there are none.
 * `count` need not be whole: an effective number of items may be given.
 */
export function wilsonInterval(share: number, count: number): Interval {
  if (!(count > 0)) return [0, 1];
  const middle = share + (z95 * z95) / (2 * count);
  const half = z95 * Math.sqrt((share * (1 - share)) / count + (z95 * z95) / (4 * count * count));
  const scale = 1 + (z95 * z95) / count;
  return [Math.max(0, (middle - half) / scale), Math.min(1, (middle + half) / scale)];
}

/** The value below which the share `q` of ascending values lies, linear between neighbours. */
export function quantile(ascending: ArrayLike<number>, q: number): number {
  const at = (ascending.length - 1) * q;
  const low = Math.floor(at);
  const [from = Number.NaN, to = from] = [ascending[low], ascending[low + 1]];
  return from + (to - from) * (at - low);
}

/** How resamples are drawn. */
export interface BootstrapOptions {
  readonly seed: number;
  readonly resamples?: number;
}

/**
 * The percentile bootstrap (Efron 1979) of a statistic over items drawn with replacement.
 * @param count how many items there are
 * @param statistic of the items whose indices it is given; resamples on which it is not finite are left out
 * @returns [NaN, NaN] where there are no items, or the statistic is finite on no resample
 */
export function bootstrapInterval(
  count: number,
  statistic: (indices: Uint32Array) => number,
  { seed, resamples = defaultResamples }: BootstrapOptions,
): Interval {
  const random = new RandomStream(hashKey('bootstrap', seed));
  const indices = new Uint32Array(count);
  const values: number[] = [];
  if (count === 0) return [Number.NaN, Number.NaN];
  for (let resample = 0; resample < resamples; resample++) {
    for (let i = 0; i < count; i++) indices[i] = Math.floor((random.nextUint32() / 0x1_0000_0000) * count);
    const value = statistic(indices);
    if (Number.isFinite(value)) values.push(value);
  }
  const ascending = Float64Array.from(values).sort();
  return [quantile(ascending, 0.025), quantile(ascending, 0.975)];
}

/** The bootstrap of a mean. */
export function bootstrapMean(values: ArrayLike<number>, options: BootstrapOptions): Interval {
  return bootstrapInterval(
    values.length,
    (indices) => {
      let sum = 0;
      for (const index of indices) sum += values[index]!;
      return sum / indices.length;
    },
    options,
  );
}

/**
 * The bootstrap of a share. @param hits 1 or 0 for each item. Where all are alike every resample is alike too, and would claim
 * certainty after a few items: then Wilson's interval.
 */
export function bootstrapShare(hits: ArrayLike<number>, options: BootstrapOptions): Interval {
  const first = hits[0];
  const isVaried = Array.prototype.some.call(hits, (hit: number) => hit !== first);
  return isVaried || first === undefined ? bootstrapMean(hits, options) : wilsonInterval(first, hits.length);
}
