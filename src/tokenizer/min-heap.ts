/** A binary heap of non-negative numbers. */
export class MinHeap {
  private keys: Float64Array;
  private size = 0;
  constructor(capacity: number) {
    this.keys = new Float64Array(Math.max(16, capacity));
  }

  push(key: number): void {
    if (this.size === this.keys.length) {
      const larger = new Float64Array(this.size * 2);
      larger.set(this.keys);
      this.keys = larger;
    }
    const { keys } = this;
    let i = this.size++;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (keys[parent]! <= key) break;
      keys[i] = keys[parent]!;
      i = parent;
    }
    keys[i] = key;
  }

  /** Takes out the smallest key, or gives -1. */
  pop(): number {
    if (this.size === 0) return -1;
    const { keys } = this;
    const result = keys[0]!;
    const moved = keys[--this.size]!;
    let i = 0;
    for (;;) {
      let child = i * 2 + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && keys[child + 1]! < keys[child]!) child++;
      if (keys[child]! >= moved) break;
      keys[i] = keys[child]!;
      i = child;
    }
    keys[i] = moved;
    return result;
  }
}
