/** Beginnings of prompts whose keys and values are kept after their requests have ended: the least lately used goes first. */
import type { RowSnapshot } from './decoder.ts';

/** Tokens that two lists of ids begin with alike. */
export function commonLength(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}

export class PrefixStore {
  private readonly maxBytes: number;
  /** Least lately used first. */
  private entries: RowSnapshot[] = [];

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return this.entries.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Keeps what `take` copies, unless it stands at the beginning of what is kept already. */
  keep(ids: readonly number[], adapter: string | undefined, take: () => RowSnapshot): void {
    const same = this.entries.find((entry) => entry.adapter === adapter && commonLength(entry.ids, ids) === ids.length);
    if (same) {
      this.touch(same);
      return;
    }
    const fresh = take();
    if (fresh.bytes > this.maxBytes) return;
    this.entries = this.entries.filter(
      (entry) => entry.adapter !== adapter || commonLength(entry.ids, ids) < entry.ids.length,
    );
    this.entries.push(fresh);
    while (this.bytes > this.maxBytes) this.entries.shift();
  }

  /** The entry of which most can be used, by what `usable` says of each. */
  best(usable: (entry: RowSnapshot) => number): { readonly entry: RowSnapshot; readonly length: number } | undefined {
    let best: { entry: RowSnapshot; length: number } | undefined;
    for (const entry of this.entries) {
      const length = usable(entry);
      if (length > (best?.length ?? 0)) best = { entry, length };
    }
    if (best) this.touch(best.entry);
    return best;
  }

  /** Forgets all that went through an adapter. */
  drop(adapter: string): void {
    this.entries = this.entries.filter((entry) => entry.adapter !== adapter);
  }

  private touch(entry: RowSnapshot): void {
    this.entries = [...this.entries.filter((each) => each !== entry), entry];
  }
}
