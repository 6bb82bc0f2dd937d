/** Many pieces of work at once, in bounded number. */

/**
 * Runs `work` on every item, at most `atOnce` at a time, and gives the results in the order of the items. After a failure
 * no further item is begun; those under way are finished, then the first failure is thrown.
 */
export async function mapConcurrently<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const failures: unknown[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      try {
        results[index] = await work(items[index]!, index);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
  return results;
}

/** Waits for all, also after a failure, so that nothing is still under way when the first failure is thrown. */
export async function settleAll<T extends readonly Promise<unknown>[]>(
  work: readonly [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const ends = await Promise.allSettled(work);
  const failure = ends.find((end): end is PromiseRejectedResult => end.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  return ends.map((end) => (end as PromiseFulfilledResult<unknown>).value) as {
    -readonly [K in keyof T]: Awaited<T[K]>;
  };
}
