/** Round tick values for an axis and the words for them. */

/** An axis range widened to round numbers, with its ticks. */
export interface Ticks {
  readonly low: number;
  readonly high: number;
  readonly step: number;
  readonly values: readonly number[];
}

/** The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `rough` (whole numbers only where asked). */
function niceStep(rough: number, whole: boolean): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  for (const factor of [1, 2, 2.5, 5, 10]) {
    const step = factor * power;
    if (step >= rough * (1 - 1e-9) && (!whole || Number.isInteger(step))) return step;
  }
  return whole ? Math.max(1, Math.ceil(rough)) : 10 * power;
}

/**
 * Round ticks that cover [low, high], about `count` of them.
 * @param whole ticks at whole numbers only (steps, counts)
 * @param widen move the ends of the range out to ticks; otherwise ticks lie inside the range as it is
 */
export function niceTicks(low: number, high: number, count: number, whole = false, widen = true): Ticks {
  let from = Math.min(low, high);
  let to = Math.max(low, high);
  if (from === to) {
    const room = from === 0 ? 1 : Math.abs(from) * (whole ? 1 : 0.1);
    from -= from === 0 || whole ? 0 : room;
    to += room;
  }
  const rough = Math.max((to - from) / Math.max(1, count), Number.MIN_VALUE * 1e20);
  const step = niceStep(whole ? Math.max(1, rough) : rough, whole);
  const first = widen ? Math.floor(from / step + 1e-9) : Math.ceil(from / step - 1e-9);
  const last = widen ? Math.ceil(to / step - 1e-9) : Math.floor(to / step + 1e-9);
  const values: number[] = [];
  // Multiplying keeps the values free of the error that repeated addition would gather.
  for (let i = first; i <= last; i++) values.push(Number((i * step).toPrecision(12)));
  return {
    low: widen ? Number((first * step).toPrecision(12)) : from,
    high: widen ? Number((last * step).toPrecision(12)) : to,
    step,
    values,
  };
}

function withCommas(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** A number for people: as many decimals as `step` needs, thousands grouped, large and tiny ones shortened. */
export function formatTick(value: number, step: number): string {
  const size = Math.max(Math.abs(value), Math.abs(step));
  const sign = value < 0 ? '−' : '';
  const absolute = Math.abs(value);
  if (value === 0) return '0';
  if (size >= 1e15 || size < 1e-4) {
    const [mantissa = '0', exponent = '0'] = absolute.toExponential(2).split('e');
    return `${sign}${Number(mantissa)}e${Number(exponent) < 0 ? '−' : ''}${Math.abs(Number(exponent))}`;
  }
  for (const [unit, letter] of [
    [1e12, 'T'],
    [1e9, 'B'],
    [1e6, 'M'],
  ] as const) {
    if (size >= unit) return `${sign}${Number((absolute / unit).toPrecision(4))}${letter}`;
  }
  // 0.25 needs two decimals and 0.5 one: the decimals of the step itself, at most six.
  let decimals = 0;
  while (decimals < 6 && Math.abs(step * 10 ** decimals - Math.round(step * 10 ** decimals)) > 1e-6) decimals++;
  const [whole = '0', fraction] = absolute.toFixed(decimals).split('.');
  return `${sign}${withCommas(whole)}${fraction ? `.${fraction}` : ''}`;
}

/** A measured value for people: four significant digits. */
export function formatValue(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-4)) return formatTick(value, Math.abs(value));
  const rounded = Number(value.toPrecision(4));
  const [whole = '0', fraction] = String(Math.abs(rounded)).split('.');
  return `${rounded < 0 ? '−' : ''}${withCommas(whole)}${fraction ? `.${fraction}` : ''}`;
}
