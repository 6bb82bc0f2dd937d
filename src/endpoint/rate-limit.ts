/** What a server says about waiting: `Retry-After` and the `x-ratelimit-*` headers, in their many spellings. */

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `2`, `1.5` (seconds), `20ms` or `1m2.5s`; undefined where it is none of these. */
export function parseDuration(written: string): number | undefined {
  const text = written.trim();
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text) * 1000;
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) total += Number(count) * unitMs[unit!]!;
  return total;
}

/** Milliseconds to wait by a `Retry-After` of seconds or of a date. */
function parseRetryAfter(written: string, now: number): number | undefined {
  const duration = parseDuration(written);
  if (duration !== undefined) return duration;
  const date = Date.parse(written);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/**
 * How long a server asks its clients to wait, in milliseconds: the longest of what it says, undefined where it says
 * nothing. A reset time counts only where nothing is left.
 */
export function requestedWaitMs(headers: Headers, now: number): number | undefined {
  const waits: (number | undefined)[] = [];
  const exact = headers.get('retry-after-ms');
  if (exact !== null && /^\d+(?:\.\d+)?$/.test(exact.trim())) waits.push(Number(exact));
  const after = headers.get('retry-after');
  if (after !== null) waits.push(parseRetryAfter(after, now));
  for (const what of ['requests', 'tokens']) {
    const reset = headers.get(`x-ratelimit-reset-${what}`);
    const left = headers.get(`x-ratelimit-remaining-${what}`);
    if (reset !== null && left !== null && Number(left) <= 0) waits.push(parseDuration(reset));
  }
  const known = waits.filter((wait) => wait !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}
