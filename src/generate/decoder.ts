/** Runs decoding steps: tokens in, logits of each row's last token out, caches kept. Knows nothing of sampling. */
import { type ModelFolder, openWeights } from '../checkpoint/index.ts';
import { positionValues } from '../nn/index.ts';
import { compile, type CompileOptions, float32, int64, type Program, type TensorValue } from '../runtime/index.ts';
import { storedTokenIds, tokenRowInputs, type TuningMethod } from '../tuning/index.ts';
import { decodeNames, decodeOutputs } from './decode-graph.ts';
import { KeyValueCache } from './key-value-cache.ts';

/** Tokens of one row that go through the model at once; longer prompts go in pieces, which bounds memory. */
const prefillTokens = 512;

/** Logits of a step take at most so much memory, where many tokens' are wanted. */
const logitsBytes = 64 * 1024 * 1024;

/** What the decoder's programs need beside the stored weights: matrices of adapters, by input name. */
export type FixedTensors = ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Float32Array }>;

export class Decoder {
  private readonly folder: ModelFolder;
  private readonly method: TuningMethod;
  private readonly program: Program;
  private readonly fixed: Record<string, TensorValue> = {};
  private readonly cache: KeyValueCache;

  private constructor(folder: ModelFolder, method: TuningMethod, program: Program, fixed: FixedTensors) {
    const { model } = folder;
    this.folder = folder;
    this.method = method;
    this.program = program;
    for (const [name, { shape, values }] of fixed) this.fixed[name] = float32(values, shape);
    this.cache = new KeyValueCache(model.layerCount, model.kvHeadCount, model.headDim);
  }

  /** Compiles the model for decoding. Weights become f32 in memory, laid out for products of few rows. */
  static async create(
    folder: ModelFolder,
    method: TuningMethod,
    fixed: FixedTensors,
    options: CompileOptions,
  ): Promise<Decoder> {
    const outputs = decodeOutputs(folder.model, method.source(false));
    const program = await compile(outputs, await openWeights(folder), {
      prepack: true,
      expandWeights: true,
      ...options,
    });
    return new Decoder(folder, method, program, fixed);
  }

  /** Tokens that a row holds. */
  length(row: number): number {
    return this.cache.lengths[row] ?? 0;
  }

  /** Forgets all but the first `length` tokens of a row. */
  truncate(row: number, length: number): void {
    if (row < this.cache.lengths.length) this.cache.lengths[row] = Math.min(length, this.length(row));
  }

  /** Copies what row `from` holds to row `to`. */
  copyRow(from: number, to: number): void {
    this.cache.reserve(to + 1, this.length(from));
    this.cache.copyRow(from, to);
  }

  /**
   * Appends tokens to rows `first`, `first + 1`, ... (at least one token each). Much goes in pieces, which bounds memory.
   * @param logitsFrom for each row the first of its new tokens whose logits are wanted; left out: the last one.
   * @param take told row (from 0), token and the logits f32[V] after it, in rising order of tokens within a row; the array is
   *   valid during the call only.
   */
  async extend(
    first: number,
    tokens: readonly ArrayLike<number>[],
    take: (row: number, token: number, logits: Float32Array) => void,
    logitsFrom: readonly number[] = tokens.map(({ length }) => length - 1),
  ): Promise<void> {
    const total = tokens.reduce((sum, { length }) => sum + length, 0);
    const wanted = tokens.reduce((sum, { length }, i) => sum + length - logitsFrom[i]!, 0);
    const mostLogits = Math.max(tokens.length, Math.floor(logitsBytes / 4 / this.folder.model.vocabularySize));
    if (total <= Math.max(prefillTokens, tokens.length) && wanted <= mostLogits) {
      return this.step(first, tokens, logitsFrom, take);
    }
    const piece = Math.max(1, Math.min(prefillTokens, mostLogits));
    for (const [row, ids] of tokens.entries()) {
      const from = logitsFrom[row]!;
      for (let start = 0; start < ids.length; start += piece) {
        const some = Array.prototype.slice.call(ids, start, start + piece) as number[];
        await this.step(first + row, [some], [Math.max(0, Math.min(some.length, from - start))], (_, token, logits) =>
          take(row, start + token, logits),
        );
      }
    }
  }

  /** Appends tokens to rows and gives the logits f32[V] after the last token of each. Valid until the next call. */
  async append(first: number, tokens: readonly ArrayLike<number>[]): Promise<Float32Array[]> {
    const last: Float32Array[] = [];
    await this.extend(first, tokens, (row, _, logits) => {
      last[row] = logits;
    });
    return last;
  }

  private async step(
    first: number,
    tokens: readonly ArrayLike<number>[],
    logitsFrom: readonly number[],
    take: (row: number, token: number, logits: Float32Array) => void,
  ): Promise<void> {
    const { model } = this.folder;
    const rows = tokens.length;
    const counts = tokens.map(({ length }) => length);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const longest = Math.max(...counts);
    this.cache.reserve(first + rows, Math.max(...counts.map((count, i) => this.length(first + i) + count)));
    const ids: number[] = [];
    const slotToken = new Int32Array(rows * longest).fill(total);
    const tokenSlot: number[] = [];
    const wanted: number[] = [];
    tokens.forEach((row, b) => {
      for (let t = 0; t < row.length; t++) {
        slotToken[b * longest + t] = ids.length;
        tokenSlot.push(b * longest + t);
        if (t >= logitsFrom[b]!) wanted.push(ids.length);
        ids.push(row[t]!);
      }
    });
    const lengths = counts.map((_, b) => this.length(first + b));
    const feeds: Record<string, TensorValue> = {
      ...this.fixed,
      [decodeNames.tokenIds]: int64(storedTokenIds(ids, this.method.storedRows)),
      [decodeNames.lengths]: int64(lengths),
      [decodeNames.cacheSteps]: int64(Array.from({ length: this.cache.capacity }, (_, i) => i)),
      // the program wants one row at least
      [decodeNames.lastTokens]: int64(wanted.length > 0 ? wanted : [ids.length - 1]),
      slot_token: int64(slotToken),
      token_slot: int64(tokenSlot),
      steps: int64(Array.from({ length: longest }, (_, i) => i)),
    };
    for (const { name, shape, values } of positionValues(model.ropes, counts, lengths)) {
      feeds[name] = values instanceof Float32Array ? float32(values, shape) : int64(values, shape);
    }
    const moved = tokenRowInputs(this.method.movedTokenIds, ids, this.method.storedRows);
    for (const [name, { shape, values }] of Object.entries(moved)) feeds[name] = int64(values, shape);
    for (let layer = 0; layer < model.layerCount; layer++) {
      const { keys, values } = this.cache.feeds(layer, first, rows);
      feeds[decodeNames.cacheKeys(layer)] = keys;
      feeds[decodeNames.cacheValues(layer)] = values;
    }
    const results = await this.program.run(feeds);
    for (let layer = 0; layer < model.layerCount; layer++) {
      const keys = results[decodeNames.newKeys(layer)]!.data as Float32Array;
      const values = results[decodeNames.newValues(layer)]!.data as Float32Array;
      let from = 0;
      counts.forEach((count, b) => {
        this.cache.write(layer, first + b, keys, values, from, count);
        from += count;
      });
    }
    counts.forEach((count, b) => {
      this.cache.lengths[first + b]! += count;
    });
    const logits = results[decodeNames.logits]!.data as Float32Array;
    const size = model.vocabularySize;
    let given = 0;
    tokens.forEach((row, b) => {
      for (let t = logitsFrom[b]!; t < row.length; t++, given++) {
        take(b, t, logits.subarray(given * size, (given + 1) * size));
      }
    });
  }

  /** Frees the program. */
  async release(): Promise<void> {
    await this.program.release();
  }
}
