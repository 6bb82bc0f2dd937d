/** Runs decoding steps: tokens in, logits of each row's last token out, caches kept. Knows nothing of sampling. */
import { type FittedAdapter, type ModelFolder, openWeights } from '../checkpoint/index.ts';
import type { LinearModule, Model } from '../models/index.ts';
import { frequencyLength, positionValues } from '../nn/index.ts';
import {
  compile,
  type CompileOptions,
  float32,
  int64,
  type Program,
  type TensorValue,
  type WeightLocator,
} from '../runtime/index.ts';
import { storedTokenIds, tokenRowInputs, type TuningMethod } from '../tuning/index.ts';
import { AdapterStack, withAdapterStack } from './adapter-stack.ts';
import { decodeNames, decodeOutputs } from './decode-graph.ts';
import { type CacheSnapshot, KeyValueCache } from './key-value-cache.ts';

/**
 * Tokens of a prompt that go through the model at once: bounds memory. Attention adds up what is cached and what is new
 * apart, so that the border shows in the last bits: it stands at whole multiples of this number of tokens.
 */
export const promptPiece = 256;

/** Slots of a row come in such numbers where prompts are computed: sums over them then do not depend on the longest prompt. */
const promptSlots = 64;

/** What the decoder's programs need beside the stored weights: matrices of adapters, by input name. */
export type FixedTensors = ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Float32Array }>;

async function compileDecoder(
  folder: ModelFolder,
  method: TuningMethod,
  modules: readonly LinearModule[],
  options: DecoderOptions,
): Promise<Program> {
  const outputs = decodeOutputs(folder.model, withAdapterStack(method.source(false), modules));
  const locate = options.locate ?? (await openWeights(folder));
  return compile(outputs, locate, { prepack: true, expandWeights: true, ...options });
}

/** What a row of the decoder holds. */
interface Row {
  readonly ids: number[];
  /** The adapter that its tokens go through, beside those of the model as a whole. */
  readonly adapter: string | undefined;
  /** So many of its first tokens were computed in whole pieces of a prompt, or a last one: another row gets them to the bit. */
  prompted: number;
}

/** What a row held, to be put into a row again. */
export interface RowSnapshot {
  readonly ids: readonly number[];
  readonly adapter: string | undefined;
  readonly prompted: number;
  readonly bytes: number;
  readonly cache: CacheSnapshot;
}

/** How a decoder computes. */
export interface DecoderOptions extends CompileOptions {
  /** Where weights lie, if not where the folder says: those of `openBlockCodes`. */
  readonly locate?: WeightLocator;
}

export class Decoder {
  readonly model: Model;
  /** Adapters that rows may choose. */
  readonly adapters: AdapterStack;
  private readonly folder: ModelFolder;
  private readonly method: TuningMethod;
  private readonly options: DecoderOptions;
  private program: Program;
  private readonly fixed: Record<string, TensorValue> = {};
  private readonly cache: KeyValueCache;
  private readonly rows: Row[] = [];

  private constructor(
    folder: ModelFolder,
    method: TuningMethod,
    program: Program,
    fixed: FixedTensors,
    options: DecoderOptions,
  ) {
    const { model } = folder;
    this.model = model;
    this.adapters = new AdapterStack(model);
    this.folder = folder;
    this.method = method;
    this.program = program;
    this.options = options;
    for (const [name, { shape, values }] of fixed) this.fixed[name] = float32(values, shape);
    this.cache = new KeyValueCache(model.layerCount, model.kvHeadCount, model.headDim);
  }

  /** Compiles the model for decoding. Weights become f32 in memory, laid out for products of few rows. */
  static async create(
    folder: ModelFolder,
    method: TuningMethod,
    fixed: FixedTensors,
    options: DecoderOptions,
  ): Promise<Decoder> {
    return new Decoder(folder, method, await compileDecoder(folder, method, [], options), fixed, options);
  }

  /**
   * Lets rows choose this adapter. The program is made anew where it has modules that no adapter before it had.
   * @throws UnsupportedError `adapter-beside`.
   */
  async loadAdapter(name: string, adapter: FittedAdapter): Promise<void> {
    if (!this.adapters.load(name, adapter)) return;
    await this.program.release();
    this.program = await compileDecoder(this.folder, this.method, this.adapters.modules, this.options);
  }

  /** Forgets an adapter. Rows that hold tokens of it must not go on. */
  unloadAdapter(name: string): void {
    this.adapters.unload(name);
  }

  /** The tokens that a row holds. */
  ids(row: number): readonly number[] {
    return this.rows[row]?.ids ?? [];
  }

  /** The adapter that a row's tokens went through. */
  adapterOf(row: number): string | undefined {
    return this.rows[row]?.adapter;
  }

  /** Tokens that a row holds. */
  length(row: number): number {
    return this.ids(row).length;
  }

  /** Empties a row, for tokens that go through an adapter. */
  clear(row: number, adapter?: string): void {
    this.rows[row] = { ids: [], adapter, prompted: 0 };
  }

  /** Forgets all but the first `length` tokens of a row. */
  truncate(row: number, length: number): void {
    const held = this.rows[row];
    if (!held || held.ids.length <= length) return;
    held.ids.length = length;
    held.prompted = Math.min(held.prompted, length);
  }

  /** First tokens of a row that another row with the same beginning would get to the bit. */
  promptedLength(row: number): number {
    return this.rows[row]?.prompted ?? 0;
  }

  /** A copy of a row's first `length` tokens. */
  snapshot(row: number, length: number): RowSnapshot {
    const { ids, adapter, prompted } = this.rows[row]!;
    const { layerCount, kvHeadCount, headDim } = this.model;
    return {
      ids: ids.slice(0, length),
      adapter,
      prompted: Math.min(prompted, length),
      bytes: 8 * layerCount * kvHeadCount * headDim * length,
      cache: this.cache.snapshot(row, length),
    };
  }

  /** Makes a row hold the first `length` tokens of a snapshot. */
  restore(row: number, { ids, adapter, prompted, cache }: RowSnapshot, length: number): void {
    this.cache.reserve(row + 1, length, this.lengths());
    this.cache.restore(row, cache, length);
    this.rows[row] = { ids: ids.slice(0, length), adapter, prompted: Math.min(prompted, length) };
  }

  /** Copies what row `from` holds to row `to`. */
  copyRow(from: number, to: number): void {
    const { ids, adapter, prompted } = this.rows[from]!;
    this.cache.reserve(to + 1, ids.length, this.lengths());
    this.cache.copyRow(from, to, ids.length);
    this.rows[to] = { ids: ids.slice(), adapter, prompted };
  }

  private lengths(): number[] {
    return this.rows.map((row) => row?.ids.length ?? 0);
  }

  /**
   * Appends prompts, or pieces of them, to rows `first`, `first + 1`, ... (at least one token each). Runs end at whole
   * multiples of `promptPiece` tokens of a row, so that what is computed depends on neither neighbours nor callers.
   * @param logitsFrom for each row the first of its new tokens whose logits are wanted; left out: the last one.
   * @param take told row (from 0), token and the logits f32[V] after it, in rising order of tokens within a row; the array is
   *   valid during the call only.
   * @param wholes length of each whole prompt, where more of it comes later: some models turn positions by it.
   */
  async extend(
    first: number,
    tokens: readonly ArrayLike<number>[],
    take: (row: number, token: number, logits: Float32Array) => void,
    logitsFrom: readonly number[] = tokens.map(({ length }) => length - 1),
    wholes: readonly number[] = tokens.map(({ length }, i) => this.length(first + i) + length),
  ): Promise<void> {
    const total = tokens.reduce((sum, { length }) => sum + length, 0);
    const ends = (row: number, start: number): number =>
      promptPiece - ((this.length(row) + start) % promptPiece) + start;
    if (total <= 2 * promptPiece && tokens.every(({ length }, i) => length <= ends(first + i, 0))) {
      return this.step(first, tokens, 'prompt', logitsFrom, wholes, take);
    }
    for (const [i, ids] of tokens.entries()) {
      for (let start = 0; start < ids.length;) {
        const end = start + promptPiece - (this.length(first + i) % promptPiece);
        const some = Array.prototype.slice.call(ids, start, end) as number[];
        const from = Math.max(0, Math.min(some.length, logitsFrom[i]! - start));
        const before = start;
        await this.step(first + i, [some], 'prompt', [from], [wholes[i]!], (_, token, logits) =>
          take(i, before + token, logits),
        );
        start += some.length;
      }
    }
  }

  /** Appends tokens to rows as `extend` and gives the logits f32[V] after the last token of each. Valid until the next call. */
  async append(first: number, tokens: readonly ArrayLike<number>[]): Promise<Float32Array[]> {
    const last: Float32Array[] = [];
    await this.extend(first, tokens, (row, _, logits) => {
      last[row] = logits;
    });
    return last;
  }

  /** Appends one token to each of the first rows and gives the logits f32[V] after it. Valid until the next call. */
  async next(tokens: readonly number[]): Promise<Float32Array[]> {
    if (this.model.recomputesTurnedKeys === true) await this.turnAnew(tokens.length);
    const logits: Float32Array[] = [];
    await this.step(
      0,
      tokens.map((id) => [id]),
      'next',
      tokens.map(() => 0),
      tokens.map((_, row) => this.length(row) + 1),
      (row, _, values) => {
        logits[row] = values;
      },
    );
    return logits;
  }

  /** Computes rows again whose next token makes them so long that all their positions turn otherwise. */
  private async turnAnew(rows: number): Promise<void> {
    for (let row = 0; row < rows; row++) {
      const { ids, adapter } = this.rows[row]!;
      const [before, after] = [ids.length, ids.length + 1].map((length) =>
        this.model.ropes.map((rope) => frequencyLength(rope, length)).join(),
      );
      if (before === after) continue;
      this.clear(row, adapter);
      await this.extend(row, [ids], () => {}, [ids.length], [ids.length + 1]);
    }
  }

  private async step(
    first: number,
    tokens: readonly ArrayLike<number>[],
    kind: 'prompt' | 'next',
    logitsFrom: readonly number[],
    wholes: readonly number[],
    take: (row: number, token: number, logits: Float32Array) => void,
  ): Promise<void> {
    const { model } = this;
    const rows = tokens.length;
    const counts = tokens.map(({ length }) => length);
    const longest = kind === 'next' ? 1 : Math.ceil(Math.max(...counts) / promptSlots) * promptSlots;
    for (let row = first; row < first + rows; row++) this.rows[row] ??= { ids: [], adapter: undefined, prompted: 0 };
    const needed = Math.max(...counts.map((count, i) => this.length(first + i) + count));
    this.cache.reserve(first + rows, needed, this.lengths());
    const ids: number[] = [];
    const tokenSlot: number[] = [];
    const wanted: number[] = [];
    tokens.forEach((row, b) => {
      for (let t = 0; t < row.length; t++) {
        tokenSlot.push(b * longest + t);
        if (t >= logitsFrom[b]!) wanted.push(ids.length);
        ids.push(row[t]!);
      }
    });
    const lengths = counts.map((_, b) => this.length(first + b));
    const sequences = counts.map((count, b) => ({ count, start: lengths[b]!, whole: wholes[b]! }));
    const owners = tokens.flatMap(({ length }, b) => Array<string | undefined>(length).fill(this.adapterOf(first + b)));
    // the program wants one row of logits at least
    if (wanted.length === 0) wanted.push(ids.length - 1);
    if (ids.length === 1 && this.pairsSingles) {
      // the same token twice, in one slot
      ids.push(ids[0]!);
      tokenSlot.push(tokenSlot[0]!);
      sequences.push(sequences[0]!);
      owners.push(owners[0]);
      wanted.push(wanted[0]!);
    }
    const slotToken = new Int32Array(rows * longest).fill(ids.length);
    tokenSlot.forEach((slot, token) => {
      slotToken[slot] = token;
    });
    const feeds: Record<string, TensorValue> = {
      ...this.fixed,
      ...this.adapters.feeds(
        owners,
        wanted.map((token) => owners[token]),
      ),
      [decodeNames.tokenIds]: int64(storedTokenIds(ids, this.method.storedRows)),
      [decodeNames.lengths]: int64(lengths),
      [decodeNames.lastTokens]: int64(wanted),
      slot_token: int64(slotToken),
      token_slot: int64(tokenSlot),
      steps: int64(Array.from({ length: longest }, (_, i) => i)),
    };
    const places = positionValues(
      model.ropes,
      sequences.map(({ count }) => count),
      sequences.map(({ start }) => start),
      sequences.map(({ whole }) => whole),
    );
    for (const { name, shape, values } of places) {
      feeds[name] = values instanceof Float32Array ? float32(values, shape) : int64(values, shape);
    }
    const moved = tokenRowInputs(this.method.movedTokenIds, ids, this.method.storedRows);
    for (const [name, { shape, values }] of Object.entries(moved)) feeds[name] = int64(values, shape);
    Object.assign(feeds, this.cache.feeds(first, rows));
    const results = await this.program.run(feeds);
    const entries = results[decodeNames.newEntries]!.data as Float32Array;
    for (let layer = 0; layer < model.layerCount; layer++) {
      let from = layer * ids.length;
      counts.forEach((count, b) => {
        this.cache.write(layer, first + b, lengths[b]!, entries, from, count);
        from += count;
      });
    }
    tokens.forEach((row, b) => {
      const held = this.rows[first + b]!;
      const isWhole = kind === 'prompt' && held.prompted === held.ids.length && held.prompted % promptPiece === 0;
      for (let t = 0; t < row.length; t++) held.ids.push(row[t]!);
      if (isWhole) held.prompted = held.ids.length;
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

  /**
   * Products with weights that are inputs take another kernel for one row than for more, which shows in the last bits: a
   * single token is then computed twice. Frozen weights are packed beforehand, and one kernel serves any number of rows.
   */
  private get pairsSingles(): boolean {
    return Object.keys(this.fixed).length > 0 || this.adapters.modules.length > 0;
  }

  /** Frees the program. */
  async release(): Promise<void> {
    await this.program.release();
  }
}
