/** Counts of n-grams, and how many two texts share: what BLEU and chrF are made of. */

/** How often each n-gram occurs. */
export type NgramCounts = ReadonlyMap<string, number>;

/** The n-grams of a list of tokens, joined by `separator`, which no token may hold where that would make two alike. */
export function countNgrams(tokens: readonly string[], order: number, separator = ' '): NgramCounts {
  const counts = new Map<string, number>();
  for (let i = 0; i + order <= tokens.length; i++) {
    const gram = tokens.slice(i, i + order).join(separator);
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}

/** Sum of all counts. */
export function totalCount(counts: NgramCounts): number {
  let total = 0;
  for (const count of counts.values()) total += count;
  return total;
}

/** How many n-grams occur in both, each as often as in the one where it is rarer. */
export function sharedCount(first: NgramCounts, second: NgramCounts): number {
  let shared = 0;
  for (const [gram, count] of first) shared += Math.min(count, second.get(gram) ?? 0);
  return shared;
}
