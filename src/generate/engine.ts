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
import type { Decoder } from './decoder.ts';

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
  readonly signal?: AbortSignal;
}

export type EngineEnd = 'done' | 'aborted';

/** A request under way. */
export interface EngineHandle {
  /** When it has ended. Rejects with what the program or the strategy threw. */
  readonly done: Promise<EngineEnd>;
  abort(): void;
}

/** How much runs at once. */
export interface EngineLimits {
  /** Rows of one step. */
  readonly maxRows: number;
}

/** Tokens of waiting prompts that are computed between two steps of running rows. */
const promptPiece = 512;

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
  /** Ids that each row of the decoder holds; rows from `used` on are free, what they hold may be used again. */
  private readonly held: number[][] = [];
  private used = 0;
  /** The row of the prompt that is computed in part: always the first one behind the rows in use. */
  private partial: Task | undefined;
  private loop: Promise<void> | undefined;

  constructor(decoder: Decoder, limits: EngineLimits) {
    this.decoder = decoder;
    this.limits = limits;
  }

  /** Rows that run and requests that wait. */
  get load(): { readonly rows: number; readonly waiting: number } {
    return { rows: this.used, waiting: this.waiting.length };
  }

  /** Adds a request to the queue. */
  submit(request: EngineRequest): EngineHandle {
    let task!: Task;
    const done = new Promise<EngineEnd>((resolve, reject) => {
      task = { request, resolve, reject, aborted: false, rows: [], pending: [], filled: 0 };
    });
    this.waiting.push(task);
    this.loop ??= this.run();
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
    while (this.waiting.length > 0 || this.running.length > 0) {
      // a run blocks the event loop: between two, others have their turn
      await new Promise(setImmediate);
      try {
        this.dropAborted();
        await this.step();
        await this.prompts();
      } catch (error) {
        for (const task of [...this.running, ...this.waiting]) task.reject(error);
        this.running.length = 0;
        this.waiting.length = 0;
        this.partial = undefined;
        this.used = 0;
        this.held.length = 0;
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
    const tokens: number[][] = [];
    for (const task of this.running) {
      task.rows.forEach((row, index) => {
        owners[row] = { task, index };
        tokens[row] = [task.pending[index]!];
      });
    }
    if (tokens.length === 0) return;
    const logits = new Map<Task, Float32Array[]>(this.running.map((task) => [task, []]));
    await this.decoder.extend(0, tokens, (row, _, values) => {
      const { task, index } = owners[row]!;
      logits.get(task)![index] = values;
    });
    tokens.forEach(([id], row) => this.held[row]!.push(id!));
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
    moves.forEach(({ keep }, i) => this.cut(rows[i]!, prompt + keep));
    task.rows = rows as number[];
    task.pending = moves.map(({ token }) => token);
    for (const row of free.toSorted((a, b) => b - a)) this.freeRow(row);
  }

  private end(task: Task, end: EngineEnd | undefined): void {
    this.running.splice(this.running.indexOf(task), 1);
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
    this.decoder.copyRow(from, to);
    this.held[to] = this.held[from]!.slice();
  }

  private cut(row: number, length: number): void {
    this.decoder.truncate(row, length);
    this.held[row]!.length = Math.min(length, this.held[row]!.length);
  }

  /** Computes a piece of the prompts that wait, first come, first served, and starts those that are complete. */
  private async prompts(): Promise<void> {
    const reserved = this.running.reduce((sum, { request }) => sum + request.rows, 0);
    let room = Math.max(this.limits.maxRows - reserved, this.running.length === 0 ? 1 : 0);
    let left = promptPiece;
    const batch: Task[] = [];
    for (const task of this.waiting) {
      const rows = Math.max(1, task.request.rows);
      // one that wants more rows than there are runs alone
      if (rows > room && !(batch.length === 0 && this.running.length === 0)) break;
      batch.push(task);
      room -= rows;
      left -= task.request.promptIds.length - task.filled;
      if (left <= 0) break;
    }
    if (batch.length === 0) return;
    batch.forEach((task, i) => {
      if (task !== this.partial) this.prepareRow(task, this.used + i);
    });
    this.partial = undefined;
    const starts = batch.map(({ filled }) => filled);
    let budget = promptPiece;
    const pieces = batch.map(({ request, filled }) => {
      const piece = Array.prototype.slice.call(request.promptIds, filled, filled + Math.max(1, budget)) as number[];
      budget -= piece.length;
      return piece;
    });
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
    );
    batch.forEach((task, i) => {
      task.filled += pieces[i]!.length;
      this.held[this.used + i]!.push(...pieces[i]!);
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

  /** Empties a row for a prompt, but for what it holds of the prompt's beginning. */
  private prepareRow(task: Task, row: number): void {
    const held = (this.held[row] ??= []);
    const { promptIds, promptLogits } = task.request;
    const most = Math.min(promptIds.length - 1, (promptLogits?.from ?? Infinity) - 1);
    let common = 0;
    while (common < Math.min(held.length, most) && held[common] === promptIds[common]) common++;
    this.cut(row, common);
    task.filled = common;
  }
}
