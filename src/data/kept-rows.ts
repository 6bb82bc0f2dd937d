/** Rows that are used, with their sequences: what comes out of tokenising and goes into samples. */
import { createHash, type Hash } from 'node:crypto';
import { GrowingArray } from './growing-array.ts';
import type { EncodedRow } from './row-encoder.ts';
import { type SequenceStore, SequenceStoreBuilder } from './sequence-store.ts';

/** One row that is used. */
export interface KeptRow {
  /** Number of the row over all data sets. */
  readonly row: number;
  /** Index of its data set. */
  readonly dataset: number;
  /** How often it is used. */
  readonly uses: number;
  readonly sequences: readonly EncodedRow[];
}

/** All of them. */
export interface KeptRows {
  readonly store: SequenceStore;
  /** First sequence of each row; one more entry closes the last. u32[rows + 1]. */
  readonly starts: Uint32Array;
  /** How often each row is used, u32[rows]. */
  readonly uses: Uint32Array;
  /** Index into the data sets of each row, u32[rows]. */
  readonly dataset: Uint32Array;
  /** SHA-256 over rows, ids, labels and weights in order. */
  readonly hash: string;
}

/** Adds the bytes of an array to a hash. */
export function hashNumbers(hash: Hash, values: Int32Array | Uint32Array | Float32Array): void {
  hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}

/** Takes rows one after the other. */
export class KeptRowsBuilder {
  private readonly builder = new SequenceStoreBuilder();
  private readonly starts = new GrowingArray();
  private readonly uses = new GrowingArray();
  private readonly dataset = new GrowingArray();
  private readonly hash = createHash('sha256');

  async add({ row, dataset, uses, sequences }: KeptRow): Promise<void> {
    this.starts.push(this.builder.size);
    this.uses.push(uses);
    this.dataset.push(dataset);
    hashNumbers(this.hash, Uint32Array.of(row, uses, sequences.length));
    for (const sequence of sequences) {
      const { inputIds, labels, weights } = sequence;
      await this.builder.add({ ...sequence, row });
      hashNumbers(this.hash, Uint32Array.of(inputIds.length, weights ? 1 : 0));
      hashNumbers(this.hash, inputIds);
      hashNumbers(this.hash, labels);
      if (weights) hashNumbers(this.hash, weights);
    }
  }

  /** The builder must not be used afterwards. */
  async finish(): Promise<KeptRows> {
    this.starts.push(this.builder.size);
    return {
      store: await this.builder.finish(),
      starts: this.starts.toArray(),
      uses: this.uses.toArray(),
      dataset: this.dataset.toArray(),
      hash: this.hash.digest('hex'),
    };
  }
}
