/**
 * Tokenised rows in a few large typed arrays instead of millions of objects: four bytes a token. A token that is not
 * trained is stored as its bitwise complement, so that labels need no room of their own. Large sets go to a temporary file.
 */
import { GrowingArray } from './growing-array.ts';
import { ignoredLabel, type Sequence } from './sequence.ts';
import { SpillFile } from './spill-file.ts';

/** Tokens of one block: 8 MB. A longer sequence gets a block of its own. */
const defaultBlockTokens = 1 << 21;
/** Tokens that are kept in memory (128 MB); what comes before the last of them goes to a file. */
const defaultMemoryTokens = 1 << 25;

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

/** Tokens of consecutive sequences, in memory or in the file. */
interface Block {
  tokens: Int32Array | undefined;
  weights: Float32Array | undefined;
  /** Bytes before it in the file, where it went there. */
  tokensAt: number;
  weightsAt: number;
}

/** Takes sequences one after the other. */
export class SequenceStoreBuilder {
  private readonly blocks: Block[] = [];
  private readonly block = new GrowingArray();
  private readonly offset = new GrowingArray();
  private readonly length = new GrowingArray();
  private readonly row = new GrowingArray();
  private readonly trained = new GrowingArray();
  private readonly memoryTokens: number;
  private readonly blockTokens: number;
  private spill: SpillFile | undefined;
  private used = 0;
  private inMemory = 0;
  private firstInMemory = 0;
  private tokens = 0;
  private trainedTokens = 0;

  /** @param memoryTokens tokens that may stay in memory. @param blockTokens tokens that are kept together. */
  constructor(memoryTokens = defaultMemoryTokens, blockTokens = defaultBlockTokens) {
    this.memoryTokens = memoryTokens;
    this.blockTokens = blockTokens;
  }

  /** Number of sequences so far. */
  get size(): number {
    return this.length.length;
  }

  /** Appends a copy of a sequence. @throws FileError where the file of a large set cannot be written. */
  async add(sequence: Sequence): Promise<void> {
    const { inputIds, labels, weights } = sequence;
    const count = inputIds.length;
    let block = this.blocks.at(-1);
    if (block === undefined || this.used + count > block.tokens!.length) {
      if (block !== undefined) await this.closeBlock();
      block = {
        tokens: new Int32Array(Math.max(this.blockTokens, count)),
        weights: undefined,
        tokensAt: -1,
        weightsAt: -1,
      };
      this.blocks.push(block);
      this.used = 0;
    }
    const tokens = block.tokens!;
    const trainedBefore = this.trainedTokens;
    for (let t = 0; t < count; t++) {
      const trained = labels[t] !== ignoredLabel;
      if (trained) this.trainedTokens++;
      tokens[this.used + t] = trained ? inputIds[t]! : ~inputIds[t]!;
    }
    if (weights) (block.weights ??= new Float32Array(tokens.length).fill(1)).set(weights, this.used);
    this.block.push(this.blocks.length - 1);
    this.offset.push(this.used);
    this.length.push(count);
    this.row.push(sequence.row);
    this.trained.push(this.trainedTokens - trainedBefore);
    this.used += count;
    this.tokens += count;
  }

  /** Cuts the last block to what is used, and moves the oldest ones to the file where memory is full. */
  private async closeBlock(): Promise<void> {
    const last = this.blocks.at(-1)!;
    last.tokens = last.tokens!.slice(0, this.used);
    last.weights = last.weights?.slice(0, this.used);
    this.inMemory += this.used;
    while (this.inMemory > this.memoryTokens) {
      const oldest = this.blocks[this.firstInMemory++]!;
      this.spill ??= new SpillFile();
      this.inMemory -= oldest.tokens!.length;
      oldest.tokensAt = await this.spill.append(oldest.tokens!);
      oldest.tokens = undefined;
      if (oldest.weights) oldest.weightsAt = await this.spill.append(oldest.weights);
      oldest.weights = undefined;
    }
  }

  /** The store of all that was added. The builder must not be used afterwards. */
  async finish(): Promise<SequenceStore> {
    if (this.blocks.length > 0) await this.closeBlock();
    const columns: Columns = {
      block: this.block.toArray(),
      offset: this.offset.toArray(),
      length: this.length.toArray(),
      row: this.row.toArray(),
      trained: this.trained.toArray(),
    };
    return new BlockStore(this.blocks, this.spill, columns, this.tokens, this.trainedTokens);
  }
}

/** What is known of each sequence, u32[size] each. */
interface Columns {
  readonly block: Uint32Array;
  readonly offset: Uint32Array;
  readonly length: Uint32Array;
  readonly row: Uint32Array;
  readonly trained: Uint32Array;
}

class BlockStore implements SequenceStore {
  readonly size: number;
  readonly tokens: number;
  readonly trainedTokens: number;
  readonly lengths: Uint32Array;
  readonly rows: Uint32Array;
  private readonly blocks: readonly Block[];
  private readonly spill: SpillFile | undefined;
  private readonly block: Uint32Array;
  private readonly offset: Uint32Array;
  private readonly trained: Uint32Array;

  constructor(
    blocks: readonly Block[],
    spill: SpillFile | undefined,
    columns: Columns,
    tokens: number,
    trainedTokens: number,
  ) {
    this.blocks = blocks;
    this.spill = spill;
    this.block = columns.block;
    this.offset = columns.offset;
    this.lengths = columns.length;
    this.trained = columns.trained;
    this.rows = columns.row;
    this.size = columns.row.length;
    this.tokens = tokens;
    this.trainedTokens = trainedTokens;
  }

  /** A copy of the stored tokens [from, to) of one sequence. */
  private stored(index: number, from: number, to: number): Int32Array {
    const block = this.blocks[this.block[index]!]!;
    const start = this.offset[index]! + from;
    if (block.tokens) return block.tokens.slice(start, start + to - from);
    const tokens = new Int32Array(to - from);
    this.spill!.read(tokens, block.tokensAt + start * 4);
    return tokens;
  }

  private weightsOf(index: number): Float32Array | undefined {
    const block = this.blocks[this.block[index]!]!;
    const start = this.offset[index]!;
    const length = this.lengths[index]!;
    if (block.weights) return block.weights.slice(start, start + length);
    if (block.weightsAt < 0) return undefined;
    const weights = new Float32Array(length);
    this.spill!.read(weights, block.weightsAt + start * 4);
    return weights;
  }

  sequence(index: number): Sequence {
    const inputIds = this.stored(index, 0, this.lengths[index]!);
    const labels = new Int32Array(inputIds.length);
    for (let t = 0; t < inputIds.length; t++) {
      const stored = inputIds[t]!;
      labels[t] = stored < 0 ? ignoredLabel : stored;
      if (stored < 0) inputIds[t] = ~stored;
    }
    const row = this.rows[index]!;
    const weights = this.weightsOf(index);
    return weights ? { inputIds, labels, weights, row } : { inputIds, labels, row };
  }

  countTrained(index: number, from: number, to: number): number {
    if (from === 0 && to === this.lengths[index]) return this.trained[index]!;
    let count = 0;
    for (const stored of this.stored(index, from, to)) if (stored >= 0) count++;
    return count;
  }
}
