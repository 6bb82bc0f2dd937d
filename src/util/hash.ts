/** Counter-based random numbers: a value depends only on its key, so that any of them can be made again later. */

/** Mixes two 32-bit words into one (murmur3 finaliser over a multiply-xor combination). Pure and platform-free. */
export function mix32(a: number, b: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}

/** Folds any number of 32-bit words, or the UTF-16 units of strings, into one 32-bit key. */
export function hashKey(...parts: readonly (number | string)[]): number {
  let key = 0x243f6a88;
  for (const part of parts) {
    if (typeof part === 'number') {
      key = mix32(key, part >>> 0);
      if (part >= 0x1_0000_0000) key = mix32(key, Math.floor(part / 0x1_0000_0000));
    } else {
      for (let i = 0; i < part.length; i++) key = mix32(key, part.charCodeAt(i));
      key = mix32(key, part.length);
    }
  }
  return key;
}

/** A seeded stream of uniform numbers, each a pure function of (key, index). */
export class RandomStream {
  readonly key: number;
  index: number;
  constructor(key: number, index = 0) {
    this.key = key;
    this.index = index;
  }
  /** The next 32-bit word. */
  nextUint32(): number {
    return mix32(mix32(this.key, this.index), Math.floor(this.index++ / 0x1_0000_0000) ^ 0x5bf03635);
  }
  /** The next number in [0, 1), with 53 random bits. */
  next(): number {
    const high = this.nextUint32() >>> 5;
    const low = this.nextUint32() >>> 6;
    return (high * 67_108_864 + low) / 9_007_199_254_740_992;
  }
  /** The next standard normal number (Box-Muller, one of the pair). */
  nextNormal(): number {
    const u = 1 - this.next();
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * this.next());
  }
  /** The next integer in [0, limit). */
  nextInt(limit: number): number {
    return Math.floor(this.next() * limit);
  }
}

/** A permutation of 0..length-1 (Fisher-Yates), a pure function of the key. */
export function permutation(length: number, key: number): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  const random = new RandomStream(key);
  for (let i = length - 1; i > 0; i--) {
    const j = random.nextInt(i + 1);
    const swap = order[i]!;
    order[i] = order[j]!;
    order[j] = swap;
  }
  return order;
}
