/** Answers to prompts: sampled or greedy, several to a prompt, streamed as their tokens become certain. */
import { type BeamSuppression, SuppressedBeams } from './beam-suppression.ts';
import { beamRows, type BeamSettings, BeamStrategy } from './beams.ts';
import type { DecodingEngine, DecodingStrategy, EngineHandle, RowMove } from './engine.ts';
import {
  argmax,
  drawNumber,
  drawsTokens,
  nextDistribution,
  processedLogits,
  type SamplingSettings,
} from './sampling.ts';
import { suppressedTexts, type SuppressionReport } from './suppressed-text.ts';
import { TokenHistory } from './token-history.ts';
import { type TokenLogprobs, tokenLogprobs } from './token-logprobs.ts';

/** What a chooser sees: the place where a token is to be chosen. */
export interface ChoicePlace {
  /** f32[V] of the model, before any processing; valid during the call only. */
  readonly logits: Float32Array;
  /** The answer so far, what is held back included. */
  readonly history: TokenHistory;
  readonly settings: SamplingSettings;
  readonly stopIds: ReadonlySet<number>;
  /** The answer's greatest length in tokens. */
  readonly maxNewTokens: number;
  /** A uniform number in [0, 1) for a place of this answer; another `attempt` gives another one. */
  readonly random: (position: number, attempt?: number) => number;
}

/** What comes next in an answer. */
export interface Choice {
  readonly token: number;
  /** Tokens of the answer that stay before it; left out: all. Fewer go back: the next place is behind `token`. */
  readonly keep?: number;
  /** Tokens, `token` included, that will not be taken back; left out: all. Only they are told and shown. At the answer's end (a stop id, its greatest length) all are. */
  readonly certain?: number;
  /** f32[V] at the place of `token` where the choice goes back, for its log-probability. */
  readonly logits?: Float32Array;
}

/** Chooses the tokens of one answer. */
export interface TokenChooser {
  choose(place: ChoicePlace): Choice;
}

export interface GenerationRequest {
  readonly promptIds: ArrayLike<number>;
  readonly maxNewTokens: number;
  /** Ids that end the answer; the one that came belongs to it. */
  readonly stopIds: ReadonlySet<number>;
  readonly sampling: SamplingSettings;
  /** Answers to the prompt, which is computed once; left out: 1. */
  readonly answers?: number;
  /** Beam search in place of answers of their own; `answers` are then the best that were found, told when they are. */
  readonly beams?: BeamSettings;
  /** Beam search: whether an answer ends with the last of these ids though that is no stop id. */
  readonly endsWith?: (ids: readonly number[]) => boolean;
  /** Beam search: texts that are suppressed. (Answers of their own have a `chooser` for that.) */
  readonly beamSuppression?: BeamSuppression;
  /** Number of the request for its random numbers; left out: 0. */
  readonly draw?: number;
  /** So many most probable tokens are told beside each one; left out: no log-probabilities. */
  readonly topLogprobs?: number;
  /** Told tokens once they are certain; returning true ends the answer behind them (a stop text was complete). */
  readonly onTokens?: (answer: number, ids: readonly number[], logprobs: readonly TokenLogprobs[]) => boolean | void;
  /** Chooses tokens in place of the plain draw. */
  readonly chooser?: (answer: number) => TokenChooser;
  readonly promptLogits?: { readonly from: number; take(place: number, logits: Float32Array): void };
  /** Name of a loaded adapter. */
  readonly adapter?: string;
  readonly signal?: AbortSignal;
}

export interface Generation {
  /** The new ids, the stop id included where it came. */
  readonly ids: readonly number[];
  readonly finishReason: 'stop' | 'length' | 'aborted';
  /** One for each id, where asked for. */
  readonly logprobs: readonly TokenLogprobs[];
  /** What happened to the texts of `beamSuppression`. */
  readonly suppressed?: readonly SuppressionReport[];
}

/** The plain choice: the highest logit, or a draw. */
export const plainChooser: TokenChooser = {
  choose({ logits, history, settings, stopIds, random }) {
    if (!drawsTokens(settings)) return { token: argmax(processedLogits(logits, settings, history, stopIds)) };
    return { token: nextDistribution(logits, settings, history, stopIds).draw(random(history.ids.length)) };
  },
};

class Answer {
  readonly history: TokenHistory;
  readonly logprobs: TokenLogprobs[] = [];
  finish: Generation['finishReason'] | undefined;
  private readonly request: GenerationRequest;
  private readonly index: number;
  private readonly chooser: TokenChooser;
  private told = 0;

  constructor(request: GenerationRequest, index: number) {
    this.request = request;
    this.index = index;
    this.history = new TokenHistory(request.promptIds);
    this.chooser = request.chooser?.(index) ?? plainChooser;
  }

  private place(logits: Float32Array): ChoicePlace {
    const { sampling, draw = 0, stopIds, maxNewTokens } = this.request;
    return {
      logits,
      history: this.history,
      settings: sampling,
      stopIds,
      maxNewTokens,
      random: (position, attempt) =>
        drawNumber({ seed: sampling.seed, request: draw, answer: this.index, position }, attempt),
    };
  }

  /** Takes the logits behind the answer; gives the move of its row, or nothing where the answer has ended. */
  advance(logits: Float32Array): Omit<RowMove, 'from'> | undefined {
    const { stopIds, maxNewTokens, topLogprobs } = this.request;
    const { history } = this;
    const choice = this.chooser.choose(this.place(logits));
    const keep = choice.keep ?? history.ids.length;
    // a token that is run again to go on from there is the one that it was
    const isAgain = history.ids[keep] === choice.token;
    history.truncate(keep);
    history.push(choice.token);
    if (topLogprobs !== undefined) {
      this.logprobs.length = isAgain ? keep + 1 : keep;
      if (!isAgain) this.logprobs.push(tokenLogprobs(choice.logits ?? logits, choice.token, topLogprobs));
    }
    const length = history.ids.length;
    if (stopIds.has(choice.token)) this.finish = 'stop';
    else if (length >= maxNewTokens) this.finish = 'length';
    this.tell(this.finish === undefined ? (choice.certain ?? length) : length);
    return this.finish === undefined ? { keep, token: choice.token } : undefined;
  }

  private tell(certain: number): void {
    if (certain <= this.told) return;
    const ids = this.history.ids.slice(this.told, certain);
    const ends = this.request.onTokens?.(this.index, ids, this.logprobs.slice(this.told, certain)) === true;
    this.told = certain;
    if (ends) {
      this.history.truncate(certain);
      this.logprobs.length = Math.min(certain, this.logprobs.length);
      this.finish = 'stop';
    }
  }

  get result(): Generation {
    return {
      ids: this.history.ids.slice(0, this.told),
      finishReason: this.finish ?? 'aborted',
      logprobs: this.logprobs.slice(0, this.told),
    };
  }
}

/** The answers of one request as a strategy: every answer has a row until it ends. */
class AnswersStrategy implements DecodingStrategy {
  readonly answers: readonly Answer[];
  /** The answers that still run, in the order of their rows. */
  private running: Answer[] = [];

  constructor(request: GenerationRequest) {
    this.answers = Array.from({ length: request.answers ?? 1 }, (_, i) => new Answer(request, i));
  }

  advance(logits: readonly Float32Array[]): RowMove[] {
    const isStart = this.running.length === 0;
    if (isStart) this.running = [...this.answers];
    const moves: RowMove[] = [];
    const still: Answer[] = [];
    this.running.forEach((answer, i) => {
      const from = isStart ? 0 : i;
      const move = answer.advance(logits[from]!);
      if (!move) return;
      moves.push({ from, ...move });
      still.push(answer);
    });
    this.running = still;
    return moves;
  }
}

/** Answers under way. */
export interface GenerationHandle {
  /** One for each answer, in order. An aborted answer holds what was certain by then. */
  readonly done: Promise<Generation[]>;
  abort(): void;
}

/** Asks the engine for answers. They depend on neither the other requests nor on when they run; see NOTES.md for what holds in which number format. */
export function generate(engine: DecodingEngine, request: GenerationRequest): GenerationHandle {
  const room = (engine.mostTokens ?? Infinity) - request.promptIds.length;
  const fitting = { ...request, maxNewTokens: Math.min(request.maxNewTokens, Math.max(1, room)) };
  return request.beams === undefined ? sampleAnswers(engine, fitting) : searchBeams(engine, fitting, request.beams);
}

function searchBeams(engine: DecodingEngine, request: GenerationRequest, beams: BeamSettings): GenerationHandle {
  const { beamSuppression: suppression } = request;
  const reshaper =
    suppression !== undefined && suppressedTexts(suppression.suppressions).length > 0
      ? new SuppressedBeams(suppression, beams.beams, request)
      : undefined;
  const strategy = new BeamStrategy(request, beams, request.endsWith ?? (() => false), reshaper);
  const handle = submit(engine, request, strategy, beamRows(beams, reshaper !== undefined));
  return {
    done: handle.done.then((end) =>
      strategy.answers.slice(0, request.answers ?? 1).map(({ ids, logprobs, suppressed }, i): Generation => {
        request.onTokens?.(i, ids, logprobs);
        const isStopped = ids.length < request.maxNewTokens || request.stopIds.has(ids.at(-1)!);
        return {
          ids,
          finishReason: end === 'aborted' ? end : isStopped ? 'stop' : 'length',
          logprobs,
          ...(reshaper === undefined ? {} : { suppressed }),
        };
      }),
    ),
    abort: () => handle.abort(),
  };
}

function sampleAnswers(engine: DecodingEngine, request: GenerationRequest): GenerationHandle {
  const strategy = new AnswersStrategy(request);
  const handle = submit(engine, request, strategy, strategy.answers.length);
  return {
    done: handle.done.then(() => strategy.answers.map((answer) => answer.result)),
    abort: () => handle.abort(),
  };
}

function submit(
  engine: DecodingEngine,
  { promptIds, promptLogits, adapter, signal }: GenerationRequest,
  strategy: DecodingStrategy,
  rows: number,
): EngineHandle {
  return engine.submit({
    promptIds,
    rows,
    strategy,
    ...(promptLogits === undefined ? {} : { promptLogits }),
    ...(adapter === undefined ? {} : { adapter }),
    ...(signal === undefined ? {} : { signal }),
  });
}
