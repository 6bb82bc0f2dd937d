/** Log-probabilities of tokens under the model itself, before temperature, penalties and all other processing. */
import { logSumExp } from './distribution.ts';
import { topIds } from './top-ids.ts';

/** The probabilities of a token that came. */
export interface TokenLogprobs {
  readonly logprob: number;
  /** The most probable ids with theirs, best first. */
  readonly top: readonly { readonly id: number; readonly logprob: number }[];
}

/** log p of a token and of the most probable ones; `logits` is f32[V]. */
export function tokenLogprobs(logits: Float32Array, token: number, top: number): TokenLogprobs {
  const total = logSumExp(logits);
  return {
    logprob: logits[token]! - total,
    top: topIds(logits, Math.min(top, logits.length)).map((id) => ({ id, logprob: logits[id]! - total })),
  };
}
