/**
 * A hash table from pairs of small integers to one integer, in typed arrays: what merges and tries are looked up in.
 * A `Map` with joined keys costs several times as much per lookup and per entry.
 */
export class PairTable {
  private keys: Int32Array;
  private values: Int32Array;
  private mask: number;
  /** Number of pairs held. */
  size = 0;

  constructor(expected = 16) {
    let capacity = 16;
    while (capacity < expected * 2) capacity *= 2;
    this.keys = new Int32Array(capacity * 2).fill(-1);
    this.values = new Int32Array(capacity);
    this.mask = capacity - 1;
  }

  private slotOf(a: number, b: number): number {
    let hash = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b);
    hash ^= hash >>> 15;
    const { keys, mask } = this;
    let slot = hash & mask;
    for (;;) {
      const key = keys[slot * 2]!;
      if (key === -1 || (key === a && keys[slot * 2 + 1] === b)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  /** The value of a pair of non-negative integers, or -1. */
  get(a: number, b: number): number {
    const slot = this.slotOf(a, b);
    return this.keys[slot * 2] === -1 ? -1 : this.values[slot]!;
  }

  /** Sets the value (non-negative) of a pair, replacing an earlier one. */
  set(a: number, b: number, value: number): void {
    let slot = this.slotOf(a, b);
    if (this.keys[slot * 2] === -1) {
      if ((this.size + 1) * 2 > this.mask + 1) {
        this.grow();
        slot = this.slotOf(a, b);
      }
      this.size++;
      this.keys[slot * 2] = a;
      this.keys[slot * 2 + 1] = b;
    }
    this.values[slot] = value;
  }

  private grow(): void {
    const { keys, values } = this;
    const capacity = (this.mask + 1) * 2;
    this.keys = new Int32Array(capacity * 2).fill(-1);
    this.values = new Int32Array(capacity);
    this.mask = capacity - 1;
    for (let slot = 0; slot < values.length; slot++) {
      const a = keys[slot * 2]!;
      if (a === -1) continue;
      const b = keys[slot * 2 + 1]!;
      const next = this.slotOf(a, b);
      this.keys[next * 2] = a;
      this.keys[next * 2 + 1] = b;
      this.values[next] = values[slot]!;
    }
  }
}
