/**
 * Beam search as transformers 5 has it (`_beam_search` in generation/utils.py): the best continuations of all beams, those
 * that end put aside with their length-normalised score, the others going on, until nothing better can come.
 */
import { distributionOf, logSumExp } from './distribution.ts';
import type { DecodingStrategy, RowMove } from './engine.ts';
import { drawNumber, drawsTokens, processedLogits, type SamplingSettings } from './sampling.ts';
import { TokenHistory } from './token-history.ts';
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

interface BeamRequest {
  readonly promptIds: ArrayLike<number>;
  readonly maxNewTokens: number;
  readonly stopIds: ReadonlySet<number>;
  readonly sampling: SamplingSettings;
  readonly draw?: number;
}

interface Beam {
  readonly history: TokenHistory;
  /** Sum of the log-probabilities. */
  readonly score: number;
}

interface Finished {
  readonly ids: readonly number[];
  readonly score: number;
}

interface Candidate {
  readonly beam: number;
  readonly token: number;
  readonly score: number;
  ends: boolean;
}

/** An answer that beam search found, best first. */
export type BeamAnswer = Finished;

export class BeamStrategy implements DecodingStrategy {
  private readonly request: BeamRequest;
  private readonly settings: BeamSettings;
  /** Whether an answer ends with its last token, by what is no stop id. */
  private readonly endsWith: (ids: readonly number[]) => boolean;
  private running: Beam[];
  private finished: Finished[] = [];
  private improvable = true;
  private length = 0;

  constructor(request: BeamRequest, settings: BeamSettings, endsWith: (ids: readonly number[]) => boolean) {
    this.request = request;
    this.settings = settings;
    this.endsWith = endsWith;
    this.running = [{ history: new TokenHistory(request.promptIds), score: 0 }];
  }

  /** What was found, best first; what was under way where it was aborted before anything ended. */
  get answers(): readonly BeamAnswer[] {
    if (this.finished.length > 0) return this.finished;
    return this.running.map(({ history, score }) => ({ ids: [...history.ids], score }));
  }

  advance(logits: readonly Float32Array[]): RowMove[] {
    const { beams, lengthPenalty, earlyStopping } = this.settings;
    const { maxNewTokens, stopIds } = this.request;
    const kept = Math.max(2, 1 + stopIds.size) * beams;
    const candidates = this.candidates(logits, kept);
    for (const candidate of candidates) {
      const ids = [...this.running[candidate.beam]!.history.ids, candidate.token];
      candidate.ends = stopIds.has(candidate.token) || ids.length >= maxNewTokens || this.endsWith(ids);
    }
    const going = candidates.filter(({ ends }) => !ends).slice(0, beams);
    const isFull = this.finished.length >= beams && earlyStopping === true;
    if (!isFull && this.improvable) {
      const ended = candidates.slice(0, beams).filter(({ ends }) => ends);
      const fresh = ended.map(({ beam, token, score }) => ({
        ids: [...this.running[beam]!.history.ids, token],
        score: Math.fround(score / (this.length + 1) ** lengthPenalty),
      }));
      this.finished = [...this.finished, ...fresh].sort((a, b) => b.score - a.score).slice(0, beams);
    }
    const keep = this.length;
    this.running = going.map(({ beam, token, score }) => {
      const history = this.running[beam]!.history.fork();
      history.push(token);
      return { history, score };
    });
    this.length++;
    if (going.length === 0 || !this.goesOn()) return [];
    return going.map(({ beam, token }) => ({ from: beam, keep, token }));
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
    const { sampling, stopIds } = this.request;
    const draws = drawsTokens(sampling);
    const all = this.running.flatMap(({ history, score }, beam): Candidate[] => {
      const raw = logits[beam]!;
      const total = logSumExp(raw);
      const scores = processedLogits(
        raw.map((value) => value - total),
        sampling,
        history,
        stopIds,
      );
      const ids = draws
        ? Array.from(distributionOf(scores, sampling).ids)
        : topIds(scores, Math.min(count, raw.length));
      const divisor = draws ? sampling.temperature : 1;
      return ids.map((token) => ({
        beam,
        token,
        score: Math.fround(Math.fround(scores[token]! / divisor) + score),
        ends: false,
      }));
    });
    const possible = all.filter(({ score }) => score > -Infinity);
    if (draws) return this.drawn(possible, count);
    return possible.sort((a, b) => b.score - a.score).slice(0, count);
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
