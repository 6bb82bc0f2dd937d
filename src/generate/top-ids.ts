/** The highest of many values. */

/** The ids of the `count` highest values, highest first; equal values by rising id. */
export function topIds(values: Float32Array, count: number): number[] {
  const higher = (a: number, b: number): number => values[b]! - values[a]! || a - b;
  if (count >= values.length) return sortedIds(values);
  // a heap of the best so far, worst on top
  const heap: number[] = [];
  const worse = (a: number, b: number): boolean => higher(a, b) > 0;
  const sink = (start: number): void => {
    for (let i = start; ;) {
      let worst = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < heap.length && worse(heap[child]!, heap[worst]!)) worst = child;
      }
      if (worst === i) return;
      [heap[i], heap[worst]] = [heap[worst]!, heap[i]!];
      i = worst;
    }
  };
  let lowest = -Infinity;
  for (let id = 0; id < values.length; id++) {
    if (heap.length < count) {
      heap.push(id);
      if (heap.length === count) {
        for (let i = count >> 1; i >= 0; i--) sink(i);
        lowest = values[heap[0]!]!;
      }
    } else if (values[id]! > lowest) {
      heap[0] = id;
      sink(0);
      lowest = values[heap[0]]!;
    }
  }
  return heap.sort(higher);
}

/** All ids: each value becomes a whole number that sorts like it, with its id in the lower digits (exact below 2^53). */
function sortedIds(values: Float32Array): number[] {
  const bits = new Uint32Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength));
  const keys = new Float64Array(values.length);
  for (let id = 0; id < values.length; id++) {
    // 0 and -0 are equal
    const word = values[id] === 0 ? 0 : bits[id]!;
    const rising = word >>> 31 ? ~word >>> 0 : (word | 0x8000_0000) >>> 0;
    keys[id] = (0xffff_ffff - rising) * idRoom + id;
  }
  keys.sort();
  return Array.from(keys, (key) => key % idRoom);
}

/** More ids than any vocabulary has; 32 bits above it leave the sum exact. */
const idRoom = 2 ** 21;
