/**
 * Beam search as transformers 5 has it (`_beam_search` in generation/utils.py): the best continuations of all beams, those
 * that end put aside with their length-normalised score, the others going on, until nothing better can come.
 */
import { distributionOf, logSumExp } from './distribution.ts';
import type { DecodingStrategy, RowMove } from './engine.ts';
import { drawNumber, drawsTokens, processedLogits, type SamplingSettings } from './sampling.ts';
import type { SuppressionReport } from './suppressed-text.ts';
import { TokenHistory } from './token-history.ts';
import { type TokenLogprobs, tokenLogprobs } from './token-logprobs.ts';
import { topIds } from './top-ids.ts';

/** Settings of beam search, as in Hugging Face's generation config. */
export interface BeamSettings {
  /** Beams that go on at each step. */
  readonly beams: number;
  /** Scores are divided by length to this power: above 0 long answers gain. */
  readonly lengthPenalty: number;
  /** true: end with as many answers as beams; false: once a better one is unlikely; never: once it is impossible. */
  readonly earlyStopping: boolean | 'never';
}

/** Rows that a search computes at once; where texts are suppressed, as many again run ahead. */
export function beamRows({ beams }: BeamSettings, suppresses: boolean): number {
  return suppresses ? 2 * beams : beams;
}

/** Changes the probabilities of beams, and may have tokens run ahead for that. Beams are numbered in their order. */
export interface BeamReshaper {
  /** Takes the logits of all rows; gives the moves of rows that must run first, none where the beams can go on. */
  take(logits: readonly Float32Array[]): readonly RowMove[];
  /** f32[V] behind each beam. */
  readonly logits: readonly Float32Array[];
  /** Tokens behind a beam that change its probability each in its own way; all others change it alike. */
  specialIds(beam: number): readonly number[];
  /** What is added to the logarithm of a beam's probability if `token` follows, as its last one where it `ends`. */
  weightOf(beam: number, token: number, ends: boolean): number;
  /** What happened in the answer that a beam's last token ends. */
  reports(beam: number, token: number): readonly SuppressionReport[];
  /** The beams that go on; gives the moves of their rows. */
  follow(beams: readonly { readonly beam: number; readonly token: number }[]): readonly RowMove[];
}

interface BeamRequest {
  readonly promptIds: ArrayLike<number>;
  readonly maxNewTokens: number;
  readonly stopIds: ReadonlySet<number>;
  readonly sampling: SamplingSettings;
  readonly draw?: number;
  readonly topLogprobs?: number;
}

interface Beam {
  readonly history: TokenHistory;
  /** Sum of the log-probabilities. */
  readonly plain: number;
  /** The same, as it was changed. */
  readonly score: number;
  readonly logprobs: readonly TokenLogprobs[];
}

interface Finished {
  readonly ids: readonly number[];
  readonly score: number;
  /** One for each id, where asked for: those of the model, before any processing. */
  readonly logprobs: readonly TokenLogprobs[];
  readonly suppressed: readonly SuppressionReport[];
}

interface Candidate {
  readonly beam: number;
  readonly token: number;
  readonly plain: number;
  score: number;
  ends: boolean;
}

/** An answer that beam search found, best first. */
export type BeamAnswer = Finished;

export class BeamStrategy implements DecodingStrategy {
  private readonly request: BeamRequest;
  private readonly settings: BeamSettings;
  /** Whether an answer ends with its last token, by what is no stop id. */
  private readonly endsWith: (ids: readonly number[]) => boolean;
  private readonly reshaper: BeamReshaper | undefined;
  private running: Beam[];
  private finished: Finished[] = [];
  private improvable = true;
  private length = 0;

  constructor(
    request: BeamRequest,
    settings: BeamSettings,
    endsWith: (ids: readonly number[]) => boolean,
    reshaper?: BeamReshaper,
  ) {
    this.request = request;
    this.settings = settings;
    this.endsWith = endsWith;
    this.reshaper = reshaper;
    this.running = [{ history: new TokenHistory(request.promptIds), plain: 0, score: 0, logprobs: [] }];
  }

  /** What was found, best first; what was under way where it was aborted before anything ended. */
  get answers(): readonly BeamAnswer[] {
    if (this.finished.length > 0) return this.finished;
    return this.running.map(({ history, score, logprobs }) => ({
      ids: [...history.ids],
      score,
      logprobs,
      suppressed: [],
    }));
  }

  advance(logits: readonly Float32Array[]): readonly RowMove[] {
    const { reshaper } = this;
    if (reshaper === undefined) return this.step(logits);
    const first = reshaper.take(logits);
    return first.length > 0 ? first : this.step(reshaper.logits);
  }

  private step(logits: readonly Float32Array[]): readonly RowMove[] {
    const { reshaper } = this;
    const { beams, lengthPenalty, earlyStopping } = this.settings;
    const { stopIds } = this.request;
    const kept = Math.max(2, 1 + stopIds.size) * beams;
    const candidates = this.candidates(logits, kept);
    for (const candidate of candidates) {
      if (candidate.ends || !this.endsWith([...this.running[candidate.beam]!.history.ids, candidate.token])) continue;
      candidate.ends = true;
      candidate.score = candidate.plain + (reshaper?.weightOf(candidate.beam, candidate.token, true) ?? 0);
    }
    const going = candidates.filter(({ ends }) => !ends).slice(0, beams);
    const isFull = this.finished.length >= beams && earlyStopping === true;
    if (!isFull && this.improvable) {
      const ended = candidates.slice(0, beams).filter(({ ends }) => ends);
      const fresh = ended.map(({ beam, token, score }) => ({
        ids: [...this.running[beam]!.history.ids, token],
        score: Math.fround(score / (this.length + 1) ** lengthPenalty),
        logprobs: this.logprobsBehind(beam, token, logits),
        suppressed: reshaper?.reports(beam, token) ?? [],
      }));
      this.finished = [...this.finished, ...fresh].sort((a, b) => b.score - a.score).slice(0, beams);
    }
    const keep = this.length;
    this.running = going.map(({ beam, token, plain, score }) => {
      const history = this.running[beam]!.history.fork();
      history.push(token);
      return { history, plain, score, logprobs: this.logprobsBehind(beam, token, logits) };
    });
    this.length++;
    if (going.length === 0 || !this.goesOn()) return [];
    if (reshaper !== undefined) return reshaper.follow(going);
    return going.map(({ beam, token }) => ({ from: beam, keep, token }));
  }

  /** Those of a beam and of the token behind it. */
  private logprobsBehind(beam: number, token: number, logits: readonly Float32Array[]): readonly TokenLogprobs[] {
    const { topLogprobs } = this.request;
    if (topLogprobs === undefined) return [];
    return [...this.running[beam]!.logprobs, tokenLogprobs(logits[beam]!, token, topLogprobs)];
  }

  /** Whether a running beam may still become better than the worst that was put aside. */
  private goesOn(): boolean {
    const { beams, lengthPenalty, earlyStopping } = this.settings;
    const isFull = this.finished.length >= beams;
    const hopeful = earlyStopping === 'never' && lengthPenalty > 0 ? this.request.maxNewTokens : this.length;
    const best = this.running[0]!.score / hopeful ** lengthPenalty;
    this.improvable &&= !isFull || best > this.finished.at(-1)!.score;
    return this.improvable && !(isFull && earlyStopping === true);
  }

  /** The best continuations of all beams; drawn, where tokens are drawn, without putting any back. */
  private candidates(logits: readonly Float32Array[], count: number): Candidate[] {
    const draws = drawsTokens(this.request.sampling);
    let possible = this.continuations(logits, count, false);
    // every continuation has the probability 0: the model's own, unprocessed, as far as they may come
    if (possible.length === 0 && this.reshaper !== undefined) possible = this.continuations(logits, count, true);
    if (draws) return this.drawn(possible, count);
    return possible.sort((a, b) => b.score - a.score).slice(0, count);
  }

  private continuations(logits: readonly Float32Array[], count: number, unprocessed: boolean): Candidate[] {
    const { reshaper } = this;
    const { sampling, stopIds, maxNewTokens } = this.request;
    const draws = drawsTokens(sampling) && !unprocessed;
    const all = this.running.flatMap(({ history, plain: before }, beam): Candidate[] => {
      const raw = logits[beam]!;
      const total = logSumExp(raw);
      const logarithms = raw.map((value) => value - total);
      const scores = unprocessed ? logarithms : processedLogits(logarithms, sampling, history, stopIds);
      const special = reshaper?.specialIds(beam) ?? [];
      const ids = draws
        ? distributionOf(scores, sampling).ids
        : topIds(scores, Math.min(count + special.length, raw.length));
      const divisor = draws ? sampling.temperature : 1;
      return [...new Set([...ids, ...special])].flatMap((token) => {
        const own = scores[token];
        if (own === undefined || own === -Infinity) return [];
        const plain = Math.fround(Math.fround(own / divisor) + before);
        const ends = stopIds.has(token) || history.ids.length + 1 >= maxNewTokens;
        const score = plain + (reshaper?.weightOf(beam, token, ends) ?? 0);
        return { beam, token, plain, score, ends };
      });
    });
    return all.filter(({ score }) => score > -Infinity);
  }

  private drawn(candidates: Candidate[], count: number): Candidate[] {
    const highest = candidates.reduce((best, { score }) => Math.max(best, score), -Infinity);
    const weights = candidates.map(({ score }) => Math.exp(score - highest));
    const chosen: Candidate[] = [];
    const { sampling, draw = 0 } = this.request;
    for (let attempt = 0; attempt < Math.min(count, candidates.length); attempt++) {
      const key = { seed: sampling.seed, request: draw, answer: 0, position: this.length };
      let rest = drawNumber(key, attempt + 1) * weights.reduce((sum, weight) => sum + weight, 0);
      let place = weights.findLastIndex((weight) => weight > 0);
      if (place < 0) break;
      for (const [i, weight] of weights.entries()) {
        rest -= weight;
        if (rest < 0) {
          place = i;
          break;
        }
      }
      weights[place] = 0;
      chosen.push(candidates[place]!);
    }
    return chosen.sort((a, b) => b.score - a.score);
  }
}
