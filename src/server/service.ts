/**
 * What the server's addresses share: the model's tokenizer and template, the engine, the queue. Turns prompts into jobs and
 * tokens into text; knows no HTTP.
 */
import type { FettleConfig } from '../config/index.ts';
import type { TextTools } from '../data/index.ts';
import type { SuppressionReport, TokenLogprobs } from '../generate/index.ts';
import { AnswerText } from './answer-text.ts';
import { ApiError } from './api-error.ts';
import type { EngineClient } from './engine-client.ts';
import { FairQueue, type Waiting } from './fair-queue.ts';
import { ServerMetrics } from './metrics.ts';
import type { AnswerSettings } from './sampling-request.ts';

/** Bounds of what is accepted. */
export interface ServiceLimits {
  /** Rows that are computed at once. */
  readonly maxRows: number;
  /** Prompts that wait. */
  readonly maxWaiting: number;
  /** Milliseconds from a request's arrival to its answer. */
  readonly timeoutMs: number;
}

/** A prompt of a request. */
export interface Prompt {
  readonly ids: readonly number[];
  /** Its number in the request. */
  readonly draw: number;
  readonly maxNewTokens: number;
  readonly adapter: string | undefined;
  readonly topLogprobs: number | undefined;
  readonly scoresPrompt: boolean;
}

export type FinishReason = 'stop' | 'length';

/** One answer to a prompt. */
export interface PromptAnswer {
  readonly text: string;
  /** The same where special tokens are left out. */
  readonly plainText: () => string;
  readonly ids: readonly number[];
  readonly logprobs: readonly TokenLogprobs[];
  readonly finishReason: FinishReason;
  readonly suppressed: readonly SuppressionReport[] | undefined;
}

/** All answers to a prompt. */
export interface PromptResult {
  readonly answers: readonly PromptAnswer[];
  /** Of the prompt's tokens, without the first one. */
  readonly promptLogprobs: readonly TokenLogprobs[] | undefined;
}

/** Told text as soon as it is certain. */
export type PieceListener = (
  answer: number,
  piece: { text: string; ids: readonly number[]; logprobs: readonly TokenLogprobs[] },
) => void;

/** Told the scores of the prompt's own tokens without the first one, before any piece, where they were asked for. */
export type PromptListener = (logprobs: readonly TokenLogprobs[]) => void;

export class Service {
  readonly config: FettleConfig;
  readonly text: TextTools;
  readonly engine: EngineClient;
  readonly metrics = new ServerMetrics();
  /** The name under which the model itself is asked for. */
  readonly modelName: string;
  readonly startedAt = Math.floor(Date.now() / 1000);
  private readonly queue: FairQueue;
  private readonly limits: ServiceLimits;

  constructor(config: FettleConfig, modelName: string, text: TextTools, engine: EngineClient, limits: ServiceLimits) {
    this.config = config;
    this.modelName = modelName;
    this.text = text;
    this.engine = engine;
    this.limits = limits;
    this.queue = new FairQueue(limits.maxRows, limits.maxWaiting);
  }

  get load(): { readonly rows: number; readonly waiting: number } {
    return this.queue.load;
  }

  /** The longest prompt and answer together. @throws ApiError 503 where the engine is not there. */
  get maxLength(): number {
    return this.requireEngine().maxLength;
  }

  /** What is known of the open model. @throws ApiError 503 where the engine is not there. */
  requireEngine(): NonNullable<EngineClient['info']> {
    const { info } = this.engine;
    if (!info) throw new ApiError(503, 'server_error', 'the model is not ready: the engine has ended or is starting');
    return info;
  }

  /** Ids that a request may name: rows that only fill the embedding up are no tokens. @throws ApiError 503. */
  get vocabularySize(): number {
    return Math.min(this.requireEngine().vocabularySize, this.text.tokenizer.vocabularySize);
  }

  /** The adapter that a model name stands for; undefined for the model itself. @throws ApiError 404. */
  adapterOf(model: string | undefined): string | undefined {
    if (model === undefined || model === this.modelName) return undefined;
    if (this.engine.adapterNames.includes(model)) return model;
    const known = [this.modelName, ...this.engine.adapterNames].map((name) => JSON.stringify(name)).join(', ');
    throw new ApiError(
      404,
      'not_found_error',
      `model must be one of ${known}, got ${JSON.stringify(model.slice(0, 100))}`,
      'model',
      'model_not_found',
    );
  }

  /** Tokens that an answer may have. @throws ApiError 400 where the prompt leaves no room for what is asked. */
  roomFor(promptLength: number, asked: number | undefined, fallback: number, param: string): number {
    const room = this.maxLength - promptLength;
    if (asked !== undefined && asked <= room) return asked;
    if (asked === undefined && room >= 1) return Math.min(room, fallback);
    throw new ApiError(
      400,
      'invalid_request_error',
      `prompt and answer together may have ${this.maxLength} tokens, got a prompt of ${promptLength} and ${asked ?? 1} more`,
      param,
      'context_length_exceeded',
    );
  }

  /**
   * What is known before a request is begun, so that its status can say so.
   * @throws ApiError 400 where it could never be computed, 429 where too many wait.
   */
  requireRoom(prompts: number, { answers, rows }: Pick<AnswerSettings, 'answers' | 'rows'>): void {
    const { maxRows, maxWaiting } = this.limits;
    if (rows > maxRows) {
      const text =
        rows === answers
          ? `n must be at most ${maxRows} (max_rows of this server), got ${answers}`
          : `beams must have at most ${maxRows} rows (max_rows of this server), got ${rows}`;
      throw new ApiError(400, 'invalid_request_error', text, 'n');
    }
    const most = maxWaiting + Math.floor(maxRows / rows);
    if (prompts > most) {
      throw new ApiError(
        400,
        'invalid_request_error',
        `a request may have ${most} prompts (max_waiting of this server, and what fits into max_rows), got ${prompts}`,
        'prompt',
      );
    }
    if (this.queue.isFull) this.refuseToWait();
  }

  private refuseToWait(): never {
    const { maxWaiting } = this.limits;
    throw new ApiError(
      429,
      'rate_limit_error',
      `at most ${maxWaiting} prompts may wait (max_waiting of this server): try again later`,
    );
  }

  /**
   * Answers a prompt. Rejects with an ApiError: 429 where too many wait, 503 where the engine ended, 408 where it took too long.
   * @param signal ends it at once, e.g. because the client has gone.
   */
  async answer(
    client: string,
    prompt: Prompt,
    settings: AnswerSettings,
    signal: AbortSignal,
    onPiece?: PieceListener,
    onPrompt?: PromptListener,
  ): Promise<PromptResult> {
    const { timeoutMs } = this.limits;
    if (this.queue.isFull) this.refuseToWait();
    const timeout = AbortSignal.timeout(timeoutMs);
    return new Promise<PromptResult>((resolve, reject) => {
      let handle: { abort(): void } | undefined;
      let isOver = false;
      const end = (act: () => void): void => {
        if (isOver) return;
        isOver = true;
        signal.removeEventListener('abort', onAbort);
        timeout.removeEventListener('abort', onAbort);
        if (handle) this.queue.done(waiting);
        else this.queue.remove(client, waiting);
        act();
      };
      const onAbort = (): void =>
        end(() => {
          handle?.abort();
          reject(
            signal.aborted
              ? new ApiError(499, 'timeout_error', 'the client has gone')
              : new ApiError(408, 'timeout_error', `an answer may take ${timeoutMs / 1000} s: ask for fewer tokens`),
          );
        });
      const waiting: Waiting = {
        rows: settings.rows,
        start: () => {
          // not before this request's own promise is made
          handle = { abort: () => {} };
          handle = this.run(
            prompt,
            settings,
            { onPiece, onPrompt },
            {
              resolve: (result) => end(() => resolve(result)),
              reject: (error) => end(() => reject(error)),
            },
          );
        },
      };
      if (signal.aborted) {
        isOver = true;
        reject(new ApiError(499, 'timeout_error', 'the client has gone'));
        return;
      }
      signal.addEventListener('abort', onAbort);
      timeout.addEventListener('abort', onAbort);
      this.queue.add(client, waiting);
    });
  }

  private run(
    prompt: Prompt,
    settings: AnswerSettings,
    { onPiece, onPrompt }: { onPiece: PieceListener | undefined; onPrompt: PromptListener | undefined },
    done: { resolve(result: PromptResult): void; reject(error: Error): void },
  ): { abort(): void } {
    const { tokenizer, template } = this.text;
    const { ids, draw, maxNewTokens, adapter, topLogprobs, scoresPrompt } = prompt;
    const { info } = this.engine;
    const stopIds = [...(settings.ignoresEnd ? [] : (info?.stopIds ?? [])), ...settings.stopIds];
    const stopTexts = [...(settings.ignoresEnd ? [] : (template?.stopStrings ?? [])), ...settings.stopTexts];
    const texts = Array.from(
      { length: settings.answers },
      () => new AnswerText(tokenizer, ids, stopTexts, new Set(stopIds), settings.skipSpecialTokens),
    );
    const reasons: (FinishReason | undefined)[] = [];
    let promptLogprobs: readonly TokenLogprobs[] | undefined;
    let suppressed: readonly (readonly SuppressionReport[])[] = [];
    const finish = (): void => {
      const answers = texts.map((text, i): PromptAnswer => {
        const rest = text.flush();
        if (rest !== '') onPiece?.(i, { text: rest, ids: [], logprobs: [] });
        return {
          text: text.text,
          plainText: () => text.withoutSpecialTokens(),
          ids: text.ids,
          logprobs: text.logprobs,
          finishReason: reasons[i] ?? 'stop',
          suppressed: suppressed[i],
        };
      });
      this.metrics.count({
        promptTokens: ids.length,
        answerTokens: answers.reduce((n, answer) => n + answer.ids.length, 0),
      });
      done.resolve({ answers, promptLogprobs });
    };
    const handle = this.engine.submit(
      {
        promptIds: ids,
        maxNewTokens,
        stopIds,
        sampling: settings.sampling,
        answers: settings.answers,
        draw,
        scoresPrompt,
        suppress: settings.suppress,
        ...(settings.beams === undefined ? {} : { beams: { ...settings.beams, stopTexts } }),
        ...(topLogprobs === undefined ? {} : { topLogprobs }),
        ...(adapter === undefined ? {} : { adapter }),
      },
      {
        tokens: ({ answer, ids: tokens, logprobs }) => {
          if (reasons[answer] !== undefined) return;
          const piece = texts[answer]!.push(tokens, logprobs);
          if (piece.text !== '' || piece.ids.length > 0) onPiece?.(answer, piece);
          if (!piece.stopped) return;
          reasons[answer] = 'stop';
          // the others go on; with the last one the job has nothing left to do but to report
          if (texts.every((_, i) => reasons[i] !== undefined)) handle.finish();
        },
        prompt: ({ logprobs }) => {
          promptLogprobs = logprobs;
          onPrompt?.(logprobs);
        },
        end: ({ finishReasons, suppressed: reports }) => {
          finishReasons.forEach((reason, i) => (reasons[i] ??= reason === 'length' ? 'length' : 'stop'));
          suppressed = reports;
          finish();
        },
        failed: ({ message, isUsers, isGone }) => {
          if (isGone) done.reject(new ApiError(503, 'server_error', `${message}: try again`));
          else if (isUsers) done.reject(new ApiError(400, 'invalid_request_error', message));
          else done.reject(new ApiError(500, 'server_error', 'the engine could not compute the answer'));
        },
      },
    );
    return handle;
  }
}
