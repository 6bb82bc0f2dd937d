/** Log-probabilities of given tokens: for perplexity, multiple choice, and the echo of a prompt. */
import { type TokenLogprobs, tokenLogprobs } from './token-logprobs.ts';
import type { DecodingEngine } from './engine.ts';

/** A text whose tokens are to be scored. */
export interface ScoreRequest {
  readonly ids: ArrayLike<number>;
  /** The first place that is scored; what stands before is context only. 1 or more; left out: 1. The first token has no score. */
  readonly from?: number;
  /** So many most probable tokens are told at each place; left out: 0. */
  readonly topLogprobs?: number;
  /** Ids whose log-probabilities are wanted at every scored place, e.g. those of the letters A to D. */
  readonly candidates?: readonly number[];
  /** Name of a loaded adapter. */
  readonly adapter?: string;
  readonly signal?: AbortSignal;
}

/** Scores of the places `from` to the end, in order. */
export interface ScoredTokens {
  /** ln p(token | all before it). */
  readonly logprobs: Float64Array;
  /** Whether the token is the most probable one there. */
  readonly isGreedy: readonly boolean[];
  readonly top: readonly TokenLogprobs['top'][];
  /** Of the request's candidates, at each place. */
  readonly candidates: readonly Float64Array[];
}

/** Scores many texts; short ones share steps, long ones go in pieces. Nothing of them is kept but the numbers. */
export async function scoreTokens(engine: DecodingEngine, requests: readonly ScoreRequest[]): Promise<ScoredTokens[]> {
  return Promise.all(requests.map((request) => scoreOne(engine, request)));
}

async function scoreOne(engine: DecodingEngine, request: ScoreRequest): Promise<ScoredTokens> {
  const { ids, from = 1, topLogprobs = 0, candidates = [], adapter, signal } = request;
  const places = Math.max(0, ids.length - from);
  const logprobs = new Float64Array(places);
  const isGreedy: boolean[] = [];
  const top: TokenLogprobs['top'][] = [];
  const chosen: Float64Array[] = [];
  const take = (place: number, logits: Float32Array): void => {
    const id = ids[place]!;
    const scored = tokenLogprobs(logits, id, topLogprobs);
    const total = logits[id]! - scored.logprob;
    logprobs[place - from] = scored.logprob;
    isGreedy.push(isHighest(logits, id));
    top.push(scored.top);
    chosen.push(Float64Array.from(candidates, (candidate) => logits[candidate]! - total));
  };
  if (places > 0) {
    await engine.submit({
      promptIds: Array.prototype.slice.call(ids, 0, ids.length) as number[],
      rows: 1,
      promptLogits: { from, take },
      ...(adapter === undefined ? {} : { adapter }),
      ...(signal === undefined ? {} : { signal }),
    }).done;
  }
  return { logprobs, isGreedy, top, candidates: chosen };
}

/** Whether greedy search would take it: the lowest id of equal ones. */
function isHighest(logits: Float32Array, id: number): boolean {
  const own = logits[id]!;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > own || (logits[i] === own && i < id)) return false;
  return true;
}
