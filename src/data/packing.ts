/**
 * Which sequences share a sample. Packed sequences stay apart for the model; packing only fills batches evenly. Pure
 * functions of the lengths: the same for any number of workers. Knows no `node:` module.
 */

/** Samples as ranges of one list: sample i holds the members `starts[i]` to `starts[i + 1]`. */
export interface Packs {
  /** Indices of sequences, grouped by sample. */
  readonly members: Uint32Array;
  /** u32[samples + 1]. */
  readonly starts: Uint32Array;
}

function toPacks(packs: readonly (readonly number[])[]): Packs {
  const starts = new Uint32Array(packs.length + 1);
  for (const [index, pack] of packs.entries()) starts[index + 1] = starts[index]! + pack.length;
  return { members: Uint32Array.from(packs.flat()), starts };
}

/** Consecutive sequences share a sample as long as they fit: keeps file order. */
export function packInOrder(lengths: ArrayLike<number>, maxTokens: number): Packs {
  const packs: number[][] = [];
  let room = -1;
  for (let index = 0; index < lengths.length; index++) {
    const length = lengths[index]!;
    if (length > room) {
      packs.push([]);
      room = maxTokens;
    }
    packs.at(-1)!.push(index);
    room -= length;
  }
  return toPacks(packs);
}

/**
 * Best-fit decreasing: the longest sequences first, each into the sample with the least room that still takes it. Within
 * a sample, and between samples, what comes first in the data stands first.
 */
export function packBestFit(lengths: ArrayLike<number>, maxTokens: number): Packs {
  const byLength: number[][] = [];
  for (let index = 0; index < lengths.length; index++)
    (byLength[Math.min(lengths[index]!, maxTokens)] ??= []).push(index);
  const packs: number[][] = [];
  /** Samples by the room that they have left. */
  const byRoom: number[][] = Array.from({ length: maxTokens + 1 }, () => []);
  const filled = new FilledRooms(maxTokens + 1);
  for (let length = byLength.length - 1; length >= 0; length--) {
    for (const index of byLength[length] ?? []) {
      let room = filled.firstFrom(length);
      let pack: number;
      if (room < 0) {
        pack = packs.length;
        packs.push([]);
        room = maxTokens;
      } else {
        pack = byRoom[room]!.pop()!;
        if (byRoom[room]!.length === 0) filled.clear(room);
      }
      packs[pack]!.push(index);
      const left = room - length;
      if (left > 0) {
        byRoom[left]!.push(pack);
        filled.set(left);
      }
    }
  }
  for (const pack of packs) pack.sort((a, b) => a - b);
  packs.sort((a, b) => a[0]! - b[0]!);
  return toPacks(packs);
}

/** A set of small numbers that finds the next member quickly: two levels of 32-bit words. */
class FilledRooms {
  private readonly words: Uint32Array;
  private readonly summary: Uint32Array;
  constructor(size: number) {
    this.words = new Uint32Array(Math.ceil(size / 32));
    this.summary = new Uint32Array(Math.ceil(this.words.length / 32));
  }
  set(value: number): void {
    const word = value >>> 5;
    this.words[word]! |= 1 << (value & 31);
    this.summary[word >>> 5]! |= 1 << (word & 31);
  }
  clear(value: number): void {
    const word = value >>> 5;
    this.words[word]! &= ~(1 << (value & 31));
    if (this.words[word] === 0) this.summary[word >>> 5]! &= ~(1 << (word & 31));
  }
  /** The least member from `value` on, or -1. */
  firstFrom(value: number): number {
    const word = value >>> 5;
    const here = (this.words[word] ?? 0) & (-1 << (value & 31));
    if (here !== 0) return (word << 5) + lowestBit(here);
    for (let group = (word + 1) >>> 5; group < this.summary.length; group++) {
      const from = group === (word + 1) >>> 5 ? (word + 1) & 31 : 0;
      const words = this.summary[group]! & (-1 << from);
      if (words !== 0) {
        const found = (group << 5) + lowestBit(words);
        return (found << 5) + lowestBit(this.words[found]!);
      }
    }
    return -1;
  }
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}
