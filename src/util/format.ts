/** Numbers as people read them, the same in every language. */

const byteUnits = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const;

/** `1.50 GB`; 1 GB is 10^9 bytes. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < byteUnits.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toPrecision(3)} ${byteUnits[unit]!}`;
}

/** `1,234,567`. */
export function formatCount(count: number): string {
  return Math.round(count)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** `0:03:12` (hours, minutes, seconds) of a number of seconds. */
export function formatDuration(seconds: number): string {
  const total = Math.max(0, Math.round(seconds));
  const part = (value: number): string => String(value).padStart(2, '0');
  return `${Math.floor(total / 3600)}:${part(Math.floor(total / 60) % 60)}:${part(total % 60)}`;
}

/** Four significant digits, in powers of ten where the number is very small or large: `1.234`, `4.2e-5`. */
export function formatNumber(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  return size < 1e-3 || size >= 1e6
    ? Number(value.toPrecision(3)).toExponential().replace('e+', 'e')
    : String(Number(value.toPrecision(4)));
}
