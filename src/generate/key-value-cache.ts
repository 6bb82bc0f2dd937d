/** Keys and values of the tokens that were seen, for several rows, in JavaScript memory that programs read without copying. */
import { float32, int64, type TensorValue } from '../runtime/index.ts';
import { decodeNames } from './decode-graph.ts';

/** Room comes in such numbers of tokens: sums over the cache then do not depend on how much room there is. */
const roomStep = 64;
/** Room grows by this factor at least, so that growing stays rare. */
const growth = 1.125;

/** Rooms above this shrink when all rows need less than half of it: short answers after a long one would pay for its room. */
const smallRoom = 512;

/** Feeds that are kept for the next step: batches of one width after the other are what happens. */
const keptFeeds = 8;

export class KeyValueCache {
  private readonly layers: number;
  private readonly groups: number;
  private readonly size: number;
  private room = 0;
  private rowRoom = 0;
  private keys: Float32Array[] = [];
  private values: Float32Array[] = [];
  /** What `feeds` gave since memory last grew, by its arguments. */
  private readonly given = new Map<string, Readonly<Record<string, TensorValue>>>();

  constructor(layers: number, groups: number, size: number) {
    this.layers = layers;
    this.groups = groups;
    this.size = size;
  }

  /** Makes room for `rows` rows of `tokens` tokens, or gives most of it back; what is there stays. @param lengths tokens that each row holds. */
  reserve(rows: number, tokens: number, lengths: readonly number[]): void {
    const longest = Math.max(tokens, ...lengths);
    const isWide = this.room > smallRoom && 2 * longest < this.room;
    if (rows <= this.rowRoom && tokens <= this.room && !isWide) return;
    // attention looks at the whole room: it grows by little
    const wanted = isWide ? Math.floor(growth * longest) : Math.max(tokens, Math.floor(growth * this.room));
    const room = tokens <= this.room && !isWide ? this.room : Math.ceil(wanted / roomStep) * roomStep;
    const held = lengths.findLastIndex((length) => length > 0) + 1;
    const rowRoom = Math.max(rows, isWide ? held : this.rowRoom);
    const copied = Math.min(rowRoom, this.rowRoom) * this.groups;
    const grow = (old: Float32Array | undefined): Float32Array => {
      const fresh = new Float32Array(rowRoom * this.groups * room * this.size);
      if (!old) return fresh;
      for (let line = 0; line < copied; line++) {
        const from = line * this.room * this.size;
        const used = lengths[Math.floor(line / this.groups)] ?? 0;
        fresh.set(old.subarray(from, from + used * this.size), line * room * this.size);
      }
      return fresh;
    };
    this.keys = Array.from({ length: this.layers }, (_, i) => grow(this.keys[i]));
    this.values = Array.from({ length: this.layers }, (_, i) => grow(this.values[i]));
    this.room = room;
    this.rowRoom = rowRoom;
    this.given.clear();
  }

  /**
   * Rows `first` to `first + count` as feeds, f32[count, K, room, E] each, with the places int64[room]. The same objects as long as
   * memory does not grow.
   */
  feeds(first: number, count: number): Readonly<Record<string, TensorValue>> {
    const key = `${first} ${count}`;
    let feeds = this.given.get(key);
    if (feeds) return feeds;
    if (this.given.size === keptFeeds) this.given.clear();
    this.given.set(key, (feeds = this.makeFeeds(first, count)));
    return feeds;
  }

  private makeFeeds(first: number, count: number): Record<string, TensorValue> {
    const row = this.groups * this.room * this.size;
    const shape = [count, this.groups, this.room, this.size];
    const part = (array: Float32Array): TensorValue =>
      float32(array.subarray(first * row, (first + count) * row), shape);
    const steps = int64(Array.from({ length: this.room }, (_, i) => i));
    const feeds: Record<string, TensorValue> = { [decodeNames.cacheSteps]: steps };
    for (let layer = 0; layer < this.layers; layer++) {
      feeds[decodeNames.cacheKeys(layer)] = part(this.keys[layer]!);
      feeds[decodeNames.cacheValues(layer)] = part(this.values[layer]!);
    }
    return feeds;
  }

  /**
   * Writes new tokens of a row from place `start` on: those of `entries` f32[_, 2 x K x E], each token's keys and then its
   * values, from token `from` on.
   */
  write(layer: number, row: number, start: number, entries: Float32Array, from: number, count: number): void {
    const { groups, size } = this;
    const keys = this.keys[layer]!;
    const values = this.values[layer]!;
    const width = groups * size;
    for (let t = 0; t < count; t++) {
      for (let k = 0; k < groups; k++) {
        const source = (2 * (from + t) * groups + k) * size;
        const target = ((row * groups + k) * this.room + start + t) * size;
        // faster than `set` for so few numbers
        for (let e = 0; e < size; e++) {
          keys[target + e] = entries[source + e]!;
          values[target + e] = entries[source + width + e]!;
        }
      }
    }
  }

  /** Copies the first `length` tokens of row `from` over row `to`. */
  copyRow(from: number, to: number, length: number): void {
    const used = length * this.size;
    const line = this.room * this.size;
    for (const arrays of [this.keys, this.values]) {
      for (const array of arrays) {
        for (let group = 0; group < this.groups; group++) {
          const start = (from * this.groups + group) * line;
          array.copyWithin((to * this.groups + group) * line, start, start + used);
        }
      }
    }
  }

  /** A copy of the first `length` tokens of a row. */
  snapshot(row: number, length: number): CacheSnapshot {
    const copy = (array: Float32Array): Float32Array => {
      const kept = new Float32Array(this.groups * length * this.size);
      for (let group = 0; group < this.groups; group++) {
        const start = (row * this.groups + group) * this.room * this.size;
        kept.set(array.subarray(start, start + length * this.size), group * length * this.size);
      }
      return kept;
    };
    return { length, keys: this.keys.map(copy), values: this.values.map(copy) };
  }

  /** Writes the first `length` tokens of a snapshot into a row that has room for them. */
  restore(row: number, snapshot: CacheSnapshot, length: number): void {
    const paste = (array: Float32Array, kept: Float32Array): void => {
      for (let group = 0; group < this.groups; group++) {
        const from = group * snapshot.length * this.size;
        array.set(kept.subarray(from, from + length * this.size), (row * this.groups + group) * this.room * this.size);
      }
    };
    this.keys.forEach((array, layer) => paste(array, snapshot.keys[layer]!));
    this.values.forEach((array, layer) => paste(array, snapshot.values[layer]!));
  }
}

/** Keys and values of one row, by layer: f32[K, length, E] each. */
export interface CacheSnapshot {
  readonly length: number;
  readonly keys: readonly Float32Array[];
  readonly values: readonly Float32Array[];
}
