/**
 * Tokenised rows in a few large typed arrays instead of millions of objects: four bytes a token. A token that is not
 * trained is stored as its bitwise complement, so that labels need no room of their own.
 */
import type { Sequence } from './sequence.ts';

/** Label of a token that is not trained, as in Hugging Face's libraries. */
export const ignoredLabel = -100;

/** Tokens of one block: 16 MB. A longer sequence gets a block of its own. */
const blockTokens = 1 << 22;

/** Sequences that can be read any number of times, in any order. */
export interface SequenceStore {
  /** Number of sequences. */
  readonly size: number;
  /** Tokens of all sequences. */
  readonly tokens: number;
  /** Tokens with a label. */
  readonly trainedTokens: number;
  /** Tokens of each sequence, u32[size]. */
  readonly lengths: Uint32Array;
  /** Row number of each sequence, u32[size]. */
  readonly rows: Uint32Array;
  /** A fresh copy of one sequence. */
  sequence(index: number): Sequence;
  /** Tokens with a label in [from, to) of one sequence. */
  countTrained(index: number, from: number, to: number): number;
}

/** A u32 array that grows. */
class GrowingArray {
  private values = new Uint32Array(1024);
  length = 0;
  push(value: number): void {
    if (this.length === this.values.length) {
      const grown = new Uint32Array(this.length * 2);
      grown.set(this.values);
      this.values = grown;
    }
    this.values[this.length++] = value;
  }
  toArray(): Uint32Array {
    return this.values.slice(0, this.length);
  }
}

/** Takes sequences one after the other. */
export class SequenceStoreBuilder {
  private readonly blocks: Int32Array[] = [];
  private readonly weightBlocks: (Float32Array | undefined)[] = [];
  private used = 0;
  private readonly block = new GrowingArray();
  private readonly offset = new GrowingArray();
  private readonly length = new GrowingArray();
  private readonly row = new GrowingArray();
  private tokens = 0;
  private trainedTokens = 0;

  /** Number of sequences so far. */
  get size(): number {
    return this.length.length;
  }

  /** Appends a copy of a sequence. */
  add(sequence: Sequence): void {
    const { inputIds, labels, weights } = sequence;
    const count = inputIds.length;
    let block = this.blocks.at(-1);
    if (block === undefined || this.used + count > block.length) {
      // The last block is cut to what is used, so that small sets stay small.
      if (block !== undefined) this.closeBlock();
      block = new Int32Array(Math.max(blockTokens, count));
      this.blocks.push(block);
      this.weightBlocks.push(undefined);
      this.used = 0;
    }
    const index = this.blocks.length - 1;
    for (let t = 0; t < count; t++) {
      const trained = labels[t] !== ignoredLabel;
      if (trained) this.trainedTokens++;
      block[this.used + t] = trained ? inputIds[t]! : ~inputIds[t]!;
    }
    if (weights) {
      const weightBlock = (this.weightBlocks[index] ??= new Float32Array(block.length).fill(1));
      weightBlock.set(weights, this.used);
    }
    this.block.push(index);
    this.offset.push(this.used);
    this.length.push(count);
    this.row.push(sequence.row);
    this.used += count;
    this.tokens += count;
  }

  private closeBlock(): void {
    const last = this.blocks.length - 1;
    this.blocks[last] = this.blocks[last]!.slice(0, this.used);
    this.weightBlocks[last] = this.weightBlocks[last]?.slice(0, this.used);
  }

  /** The store of all that was added. The builder must not be used afterwards. */
  finish(): SequenceStore {
    if (this.blocks.length > 0) this.closeBlock();
    const { blocks, weightBlocks, tokens, trainedTokens } = this;
    const [block, offset, lengths, rows] = [this.block, this.offset, this.length, this.row].map((a) => a.toArray());
    return {
      size: lengths!.length,
      tokens,
      trainedTokens,
      lengths: lengths!,
      rows: rows!,
      sequence(index) {
        const from = offset![index]!;
        const to = from + lengths![index]!;
        const inputIds = blocks[block![index]!]!.slice(from, to);
        const labels = new Int32Array(inputIds.length);
        for (let t = 0; t < inputIds.length; t++) {
          const stored = inputIds[t]!;
          labels[t] = stored < 0 ? ignoredLabel : stored;
          if (stored < 0) inputIds[t] = ~stored;
        }
        const row = rows![index]!;
        const weights = weightBlocks[block![index]!]?.slice(from, to);
        return weights ? { inputIds, labels, weights, row } : { inputIds, labels, row };
      },
      countTrained(index, from, to) {
        const ids = blocks[block![index]!]!;
        const start = offset![index]!;
        let count = 0;
        for (let t = start + from; t < start + to; t++) if (ids[t]! >= 0) count++;
        return count;
      },
    };
  }
}
