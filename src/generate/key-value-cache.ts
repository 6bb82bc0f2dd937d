/** Keys and values of the tokens that were seen, for several rows, in JavaScript memory that programs read without copying. */
import { float32, type TensorValue } from '../runtime/index.ts';

/** Room grows by this many tokens at least, so that growing stays rare. */
const minimumRoom = 64;

export class KeyValueCache {
  private readonly layers: number;
  private readonly groups: number;
  private readonly size: number;
  private room = 0;
  private rowRoom = 0;
  private keys: Float32Array[] = [];
  private values: Float32Array[] = [];
  /** Tokens that each row holds. */
  readonly lengths: number[] = [];

  constructor(layers: number, groups: number, size: number) {
    this.layers = layers;
    this.groups = groups;
    this.size = size;
  }

  /** Tokens that fit into a row before memory has to grow. */
  get capacity(): number {
    return this.room;
  }

  /** Makes room for `rows` rows of `tokens` tokens; what is there stays. */
  reserve(rows: number, tokens: number): void {
    if (rows <= this.rowRoom && tokens <= this.room) return;
    const room = tokens <= this.room ? this.room : Math.max(minimumRoom, Math.ceil(tokens / 64) * 64, 2 * this.room);
    const rowRoom = Math.max(rows, this.rowRoom);
    const grow = (old: Float32Array | undefined): Float32Array => {
      const fresh = new Float32Array(rowRoom * this.groups * room * this.size);
      if (!old) return fresh;
      for (let line = 0; line < this.rowRoom * this.groups; line++) {
        const from = line * this.room * this.size;
        const used = this.lengths[Math.floor(line / this.groups)] ?? 0;
        fresh.set(old.subarray(from, from + used * this.size), line * room * this.size);
      }
      return fresh;
    };
    this.keys = Array.from({ length: this.layers }, (_, i) => grow(this.keys[i]));
    this.values = Array.from({ length: this.layers }, (_, i) => grow(this.values[i]));
    this.room = room;
    this.rowRoom = rowRoom;
    while (this.lengths.length < rowRoom) this.lengths.push(0);
  }

  /** Rows `first` to `first + count` of a layer as feeds, f32[count, K, room, E]. */
  feeds(layer: number, first: number, count: number): { keys: TensorValue; values: TensorValue } {
    const row = this.groups * this.room * this.size;
    const shape = [count, this.groups, this.room, this.size];
    return {
      keys: float32(this.keys[layer]!.subarray(first * row, (first + count) * row), shape),
      values: float32(this.values[layer]!.subarray(first * row, (first + count) * row), shape),
    };
  }

  /** Writes new tokens of a row behind those that are there: `keys` and `values` f32[count, K, E] from token `from` on. */
  write(layer: number, row: number, keys: Float32Array, values: Float32Array, from: number, count: number): void {
    const start = this.lengths[row]!;
    for (let t = 0; t < count; t++) {
      for (let k = 0; k < this.groups; k++) {
        const source = ((from + t) * this.groups + k) * this.size;
        const target = ((row * this.groups + k) * this.room + start + t) * this.size;
        this.keys[layer]!.set(keys.subarray(source, source + this.size), target);
        this.values[layer]!.set(values.subarray(source, source + this.size), target);
      }
    }
  }

  /** Copies all that row `from` holds over row `to`. */
  copyRow(from: number, to: number): void {
    const row = this.groups * this.room * this.size;
    for (let layer = 0; layer < this.layers; layer++) {
      this.keys[layer]!.copyWithin(to * row, from * row, (from + 1) * row);
      this.values[layer]!.copyWithin(to * row, from * row, (from + 1) * row);
    }
    this.lengths[to] = this.lengths[from]!;
  }
}
