/** Python's notions of white space and of rounding, which the metrics that are compared with Python's need to the letter. */

/** What `str.isspace` and `\s` accept in Python: unlike in JavaScript with U+001C to U+001F and U+0085, without U+FEFF. */
export const pythonSpace = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const spaces = new RegExp(`[${pythonSpace}]+`);
const leading = new RegExp(`^[${pythonSpace}]+`);
const trailing = new RegExp(`[${pythonSpace}]+$`);

/** `text.split()`: the words between runs of white space. */
export function splitOnSpace(text: string): string[] {
  return text.split(spaces).filter((word) => word !== '');
}

/** `text.rstrip()`. */
export function stripEnd(text: string): string {
  return text.replace(trailing, '');
}

/** `text.strip()`. */
export function strip(text: string): string {
  return stripEnd(text.replace(leading, ''));
}

/** `round(value, 4)`: to the nearest, the even one of two that are equally near. */
export function roundTo4(value: number): number {
  // A double lies exactly between two numbers of four digits only where it is an odd number of 1/32.
  const thirtySeconds = value * 32;
  if (Number.isInteger(thirtySeconds) && thirtySeconds % 2 !== 0) {
    const below = Math.floor(value * 10_000);
    return (below % 2 === 0 ? below : below + 1) / 10_000;
  }
  return Number(value.toFixed(4));
}

/** Mean of numbers; 0 where there are none. */
export function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
