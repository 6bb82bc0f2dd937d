/**
 * The decoding engine: many requests over one model at once. It owns rows and steps and knows nothing of sampling.
 *
 * A request has a prompt and a *strategy*. The engine runs the prompt through the model and gives the strategy the logits
 * after it; the strategy answers with the rows that go on, each a move `{from, keep, token}`: from which of its rows, how
 * many of that row's tokens behind the prompt stay, and the token that follows. One move a row is plain decoding; two moves
 * from one row fork it (several answers, beams); a smaller `keep` takes tokens back (suppression). No move ends the request.
 *
 *     const engine = new DecodingEngine(decoder, { maxRows: 16 });
 *     const request = engine.submit({ promptIds, rows: 1, strategy: { advance: ([logits]) => [...] }, signal });
 *     await request.done;                                   // 'done' | 'aborted'
 *
 * Above it: `generate(engine, request)` (answers.ts) samples `answers` answers with all settings, streams the tokens that are
 * certain through `onTokens`, and lets a `chooser` take over the choice of tokens, holding back and going back included;
 * `scoreTokens(engine, texts)` (score.ts) gives log-probabilities of given tokens; `nextDistribution(logits, settings, history)`
 * (sampling.ts) is the distribution that is really drawn from.
 *
 * Requests start in the order of their arrival, between two steps, as soon as rows are free; a step computes one token of
 * every running row, then at most one piece of the prompts that wait, so that long prompts hold up nobody for long.
 */
import type { FittedAdapter } from '../checkpoint/index.ts';
import { ConfigError, UnsupportedError } from '../errors.ts';
import { frequencyLength } from '../nn/index.ts';
import { type Decoder, promptPiece } from './decoder.ts';
import { commonLength, PrefixStore } from './prefix-store.ts';

/** A row of the next step. */
export interface RowMove {
  /** Place among the rows that the strategy gave before; before its first move there is one, the prompt. */
  readonly from: number;
  /** Tokens behind the prompt that stay; `token` comes after them. Tokens that were given in moves before count. */
  readonly keep: number;
  readonly token: number;
}

/** Decides how the rows of one request go on. */
export interface DecodingStrategy {
  /**
   * @param logits f32[V] after the last token of each row, in the order of the moves before; valid during the call only.
   * @returns the rows that go on, at most `rows` of the request; none ends it.
   */
  advance(logits: readonly Float32Array[]): readonly RowMove[];
}

/** What is asked of the engine. */
export interface EngineRequest {
  /** At least one id. */
  readonly promptIds: ArrayLike<number>;
  /** Most rows that the strategy uses. */
  readonly rows: number;
  /** Left out: only the prompt is computed, for its logits. */
  readonly strategy?: DecodingStrategy;
  /** Wants the logits that predict `promptIds[from]` (from 1 on) and those after it, told with the place that they predict. */
  readonly promptLogits?: { readonly from: number; take(place: number, logits: Float32Array): void };
  /** Name of a loaded adapter that its tokens go through. */
  readonly adapter?: string;
  readonly signal?: AbortSignal;
}

export type EngineEnd = 'done' | 'aborted';

/** A request under way. */
export interface EngineHandle {
  /** When it has ended. Rejects with what the program or the strategy threw. */
  readonly done: Promise<EngineEnd>;
  abort(): void;
}

/** How much runs at once, and what is kept. */
export interface EngineLimits {
  /** Rows of one step. */
  readonly maxRows: number;
  /**
   * What later prompts take over of earlier ones. `exact`: whole pieces of prompts, which are the same to the bit whoever
   * computed them, so that in f32 an answer depends on nothing but its request. `all`: every token in common, answers
   * included; their last bits are those of the way they came. Left out: exact.
   */
  readonly reuse?: 'exact' | 'all';
  /** Bytes of keys and values kept of requests that have ended, beside the rows; left out: 512 MB. */
  readonly keptBytes?: number;
}

const defaultKeptBytes = 512e6;

interface Task {
  readonly request: EngineRequest;
  readonly resolve: (end: EngineEnd) => void;
  readonly reject: (error: unknown) => void;
  aborted: boolean;
  /** Row of the decoder of each of its rows, in the strategy's order. */
  rows: number[];
  /** The token that each row goes on with. */
  pending: number[];
  /** Tokens of the prompt that are computed. */
  filled: number;
}

export class DecodingEngine {
  private readonly decoder: Decoder;
  private readonly limits: EngineLimits;
  private readonly waiting: Task[] = [];
  private readonly running: Task[] = [];
  /** Rows of the decoder that running tasks have: the first so many. */
  private used = 0;
  /** Rows whose task has ended; what they hold may be used again. */
  private readonly idle = new Set<number>();
  private readonly kept: PrefixStore;
  /** What is to be done between two steps. */
  private readonly errands: (() => Promise<void>)[] = [];
  /** The row of the prompt that is computed in part: always the first one behind the rows in use. */
  private partial: Task | undefined;
  private loop: Promise<void> | undefined;

  constructor(decoder: Decoder, limits: EngineLimits) {
    this.decoder = decoder;
    this.limits = limits;
    this.kept = new PrefixStore(limits.keptBytes ?? defaultKeptBytes);
  }

  /** Rows that run and requests that wait. */
  get load(): { readonly rows: number; readonly waiting: number } {
    return { rows: this.used, waiting: this.waiting.length };
  }

  /** Names of the adapters that requests may choose. */
  get adapters(): readonly string[] {
    return this.decoder.adapters.names;
  }

  /** Loads an adapter, or another one under its name, between two steps. @throws UnsupportedError `adapter-beside` */
  loadAdapter(name: string, adapter: FittedAdapter): Promise<void> {
    return this.between(async () => {
      await this.drain(name);
      await this.decoder.loadAdapter(name, adapter);
    });
  }

  /** Unloads an adapter once the requests that go through it have ended; those that wait for it fail. */
  unloadAdapter(name: string): Promise<void> {
    return this.between(async () => {
      await this.drain(name);
      this.decoder.unloadAdapter(name);
    });
  }

  private between(errand: () => Promise<void>): Promise<void> {
    const done = new Promise<void>((resolve, reject) => {
      this.errands.push(() => errand().then(resolve, reject));
    });
    this.loop ??= this.run();
    return done;
  }

  /** Lets the running requests of an adapter end and forgets what went through it. */
  private async drain(name: string): Promise<void> {
    while (this.running.some(({ request }) => request.adapter === name)) {
      this.dropAborted();
      await this.step();
      await new Promise(setImmediate);
    }
    for (const row of this.idle) if (this.decoder.adapterOf(row) === name) this.idle.delete(row);
    this.kept.drop(name);
    if (this.partial?.request.adapter === name) this.partial = undefined;
  }

  /** Most tokens that a prompt and its answer can have together; undefined: the model sets no limit. */
  get mostTokens(): number | undefined {
    const limit = this.decoder.model.positionLimit;
    // the last token of an answer is never computed
    return limit === undefined ? undefined : limit + 1;
  }

  /**
   * Adds a request to the queue.
   * @throws ConfigError `adapter-unknown`, UnsupportedError `prompt-beyond-positions`, both through `done`.
   */
  submit(request: EngineRequest): EngineHandle {
    let task!: Task;
    const done = new Promise<EngineEnd>((resolve, reject) => {
      task = { request, resolve, reject, aborted: false, rows: [], pending: [], filled: 0 };
    });
    const tokens = request.promptIds.length;
    const { modelType, positionLimit } = this.decoder.model;
    if (positionLimit !== undefined && tokens > positionLimit) {
      task.reject(new UnsupportedError('prompt-beyond-positions', { tokens, limit: positionLimit, modelType }));
    } else {
      this.waiting.push(task);
      this.loop ??= this.run();
    }
    return {
      done,
      abort: () => {
        task.aborted = true;
      },
    };
  }

  /** Waits for all requests and frees the decoder. */
  async release(): Promise<void> {
    await this.loop;
    await this.decoder.release();
  }

  private async run(): Promise<void> {
    while (this.waiting.length > 0 || this.running.length > 0 || this.errands.length > 0) {
      // a run blocks the event loop: between two, others have their turn
      await new Promise(setImmediate);
      try {
        for (const errand of this.errands.splice(0)) await errand();
        this.dropAborted();
        await this.step();
        await this.prompts();
      } catch (error) {
        for (const task of [...this.running, ...this.waiting]) task.reject(error);
        this.running.length = 0;
        this.waiting.length = 0;
        this.partial = undefined;
        this.used = 0;
        this.idle.clear();
      }
    }
    this.loop = undefined;
  }

  private dropAborted(): void {
    const gone = ({ aborted, request }: Task): boolean => aborted || request.signal?.aborted === true;
    for (const task of this.running.filter(gone)) this.end(task, 'aborted');
    for (const task of this.waiting.filter(gone)) {
      this.waiting.splice(this.waiting.indexOf(task), 1);
      if (task === this.partial) this.partial = undefined;
      task.resolve('aborted');
    }
  }

  /** One token of every running row. */
  private async step(): Promise<void> {
    if (this.used === 0) return;
    const owners: { task: Task; index: number }[] = [];
    const tokens: number[] = [];
    for (const task of this.running) {
      task.rows.forEach((row, index) => {
        owners[row] = { task, index };
        tokens[row] = task.pending[index]!;
      });
    }
    if (tokens.length === 0) return;
    const logits = new Map<Task, Float32Array[]>(this.running.map((task) => [task, []]));
    for (const [row, values] of (await this.decoder.next(tokens)).entries()) {
      const { task, index } = owners[row]!;
      logits.get(task)![index] = values;
    }
    for (const [task, values] of logits) this.advance(task, values);
  }

  /** Lets the strategy decide and lays the rows of the task out as it says. */
  private advance(task: Task, logits: readonly Float32Array[]): void {
    let moves: readonly RowMove[];
    try {
      moves = task.request.strategy!.advance(logits);
    } catch (error) {
      task.reject(error);
      this.end(task, undefined);
      return;
    }
    if (moves.length === 0) {
      this.end(task, 'done');
      return;
    }
    const before = task.rows;
    const prompt = task.request.promptIds.length;
    const claimed = new Set<number>();
    // the first child of a row stays where it is, others move to rows that have no child, or to new ones
    const rows = moves.map(({ from }) => {
      const row = before[from]!;
      if (claimed.has(row)) return undefined;
      claimed.add(row);
      return row;
    });
    const free = before.filter((row) => !claimed.has(row));
    moves.forEach(({ from }, i) => {
      if (rows[i] !== undefined) return;
      const target = free.pop() ?? this.newRow();
      this.copyRow(before[from]!, target);
      rows[i] = target;
    });
    moves.forEach(({ keep }, i) => this.decoder.truncate(rows[i]!, prompt + keep));
    task.rows = rows as number[];
    task.pending = moves.map(({ token }) => token);
    for (const row of free.toSorted((a, b) => b - a)) this.freeRow(row);
  }

  private end(task: Task, end: EngineEnd | undefined): void {
    this.running.splice(this.running.indexOf(task), 1);
    if (task.rows[0] !== undefined) this.idle.add(task.rows[0]);
    for (const row of task.rows.toSorted((a, b) => b - a)) this.freeRow(row);
    task.rows = [];
    if (end !== undefined) task.resolve(end);
  }

  private newRow(): number {
    if (this.partial !== undefined) this.copyRow(this.used, this.used + 1);
    return this.used++;
  }

  /** Gives a row back: the last row in use moves to its place. */
  private freeRow(row: number): void {
    const last = --this.used;
    if (row !== last) {
      const owner = this.running.find(({ rows }) => rows.includes(last))!;
      this.copyRow(last, row);
      owner.rows[owner.rows.indexOf(last)] = row;
    }
    if (this.partial !== undefined) this.copyRow(last + 1, last);
  }

  private copyRow(from: number, to: number): void {
    this.leave(to);
    this.decoder.copyRow(from, to);
  }

  /** What an ended request left in a row is kept elsewhere before others use the row. */
  private leave(row: number): void {
    if (!this.idle.delete(row)) return;
    const length = this.reusable(this.decoder.length(row), this.decoder.promptedLength(row));
    if (length === 0) return;
    const ids = this.decoder.ids(row).slice(0, length);
    this.kept.keep(ids, this.decoder.adapterOf(row), () => this.decoder.snapshot(row, length));
  }

  /** How many of the first `length` tokens may serve others, of which `prompted` were computed in whole pieces. */
  private reusable(length: number, prompted: number): number {
    if (this.limits.reuse === 'all') return length;
    const whole = Math.min(length, prompted);
    return whole - (whole % promptPiece);
  }

  /** Computes a piece of the prompts that wait, first come, first served, and starts those that are complete. */
  private async prompts(): Promise<void> {
    const reserved = this.running.reduce((sum, { request }) => sum + request.rows, 0);
    let room = Math.max(this.limits.maxRows - reserved, this.running.length === 0 ? 1 : 0);
    let left = 2 * promptPiece;
    const batch: Task[] = [];
    const sizes: number[] = [];
    this.refuseUnknownAdapters();
    for (const task of this.waiting) {
      const rows = Math.max(1, task.request.rows);
      // one that wants more rows than there are runs alone
      if (rows > room && (batch.length > 0 || this.running.length > 0)) break;
      if (task !== this.partial) this.prepareRow(task, this.used + batch.length);
      // up to the border where the decoder cuts, so that neighbours do not move it
      const size = Math.min(task.request.promptIds.length - task.filled, promptPiece - (task.filled % promptPiece));
      if (size > left) break;
      batch.push(task);
      sizes.push(size);
      room -= rows;
      left -= size;
      if (task.filled + size < task.request.promptIds.length) break;
    }
    if (batch.length === 0) return;
    this.partial = undefined;
    const starts = batch.map(({ filled }) => filled);
    const pieces = batch.map(
      ({ request, filled }, i) => Array.prototype.slice.call(request.promptIds, filled, filled + sizes[i]!) as number[],
    );
    const isWhole = (i: number): boolean => starts[i]! + pieces[i]!.length === batch[i]!.request.promptIds.length;
    const logitsFrom = batch.map(({ request }, i) => {
      const from = request.promptLogits === undefined ? Infinity : request.promptLogits.from - 1 - starts[i]!;
      return Math.max(0, Math.min(from, isWhole(i) ? pieces[i]!.length - 1 : pieces[i]!.length));
    });
    const last: Float32Array[] = [];
    await this.decoder.extend(
      this.used,
      pieces,
      (i, token, logits) => {
        const { request } = batch[i]!;
        const predicted = starts[i]! + token + 1;
        const wanted = request.promptLogits;
        if (predicted < request.promptIds.length) wanted?.take(predicted, logits);
        // more may be computed before the strategy is asked
        else last[i] = request.strategy === undefined ? logits : logits.slice();
      },
      logitsFrom,
      batch.map(({ request }) => request.promptIds.length),
    );
    batch.forEach((task, i) => {
      task.filled += pieces[i]!.length;
    });
    const whole = batch.filter((_, i) => isWhole(i));
    const first = this.used;
    for (const [i, task] of batch.entries()) {
      if (!isWhole(i)) {
        this.partial = task;
        continue;
      }
      this.waiting.splice(this.waiting.indexOf(task), 1);
      task.rows = [first + i];
      this.running.push(task);
      this.used++;
    }
    for (const task of whole) {
      if (task.request.strategy === undefined) this.end(task, 'done');
      else this.advance(task, [last[batch.indexOf(task)]!]);
    }
  }

  private refuseUnknownAdapters(): void {
    const known = this.adapters;
    const isUnknown = ({ request: { adapter } }: Task): boolean => adapter !== undefined && !known.includes(adapter);
    for (const task of this.waiting.filter(isUnknown)) {
      this.waiting.splice(this.waiting.indexOf(task), 1);
      task.reject(new ConfigError('adapter-unknown', { name: task.request.adapter!, known }));
    }
  }

  /** Makes a row hold what is known of a prompt's beginning, from wherever most of it is known. */
  private prepareRow(task: Task, row: number): void {
    const { promptIds, promptLogits, adapter } = task.request;
    const most = Math.min(promptIds.length - 1, (promptLogits?.from ?? Infinity) - 1);
    const usable = (ids: readonly number[], of: string | undefined, prompted: number): number => {
      if (of !== adapter || this.turnsByLength(promptIds.length) || this.turnsByLength(ids.length)) return 0;
      return this.reusable(Math.min(most, commonLength(ids, promptIds)), prompted);
    };
    const inRow = (of: number): number =>
      usable(this.decoder.ids(of), this.decoder.adapterOf(of), this.decoder.promptedLength(of));
    const own = this.idle.has(row) ? inRow(row) : 0;
    let source = row;
    let length = own;
    for (const other of [...this.idle, ...Array(this.used).keys()]) {
      if (other !== row && inRow(other) > length) {
        source = other;
        length = inRow(other);
      }
    }
    const kept = this.kept.best((entry) => usable(entry.ids, entry.adapter, entry.prompted));
    if (length === 0 && kept === undefined) {
      this.leave(row);
      this.decoder.clear(row, adapter);
    } else if (kept !== undefined && kept.length > length) {
      this.leave(row);
      this.decoder.restore(row, kept.entry, kept.length);
      length = kept.length;
    } else {
      if (source !== row) this.copyRow(source, row);
      else if (this.decoder.length(row) > 2 * length) this.leave(row);
      this.idle.delete(row);
      this.decoder.truncate(row, length);
    }
    task.filled = length;
  }

  /** Whether positions of so long a sequence turn otherwise than those of a short one: then nothing is taken over. */
  private turnsByLength(length: number): boolean {
    return this.decoder.model.ropes.some((rope) => frequencyLength(rope, length) !== 0);
  }
}
