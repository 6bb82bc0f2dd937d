/**
 * Log-probabilities of continuations, as lm-evaluation-harness 0.4.13 takes them: context and continuation are tokenised together, blanks
 * at the end of the context belong to the continuation, and what is too long is cut from the front.
 */
import { type Generator, scoreTokens } from '../../generate/index.ts';

/** A continuation to be scored behind a context. */
export interface Continuation {
  readonly context: string;
  readonly continuation: string;
}

/** What a model thinks of a continuation. */
export interface ContinuationScore {
  /** ln p of all its tokens. */
  readonly logprob: number;
  /** Whether greedy decoding would write it. */
  readonly isGreedy: boolean;
}

/** Ids of a context and of what follows it. */
export interface EncodedPair {
  readonly context: readonly number[];
  readonly continuation: readonly number[];
}

/** Ids of a text with what the tokenizer puts around it; a BOS that the text has itself is not doubled. */
function encode({ text: { tokenizer } }: Generator, text: string): Int32Array {
  const { bosToken } = tokenizer;
  const hasBos = bosToken !== undefined && text.startsWith(bosToken);
  return hasBos ? tokenizer.encode(text) : tokenizer.encodeWithSpecialTokens(text);
}

/** The id that stands before a text without a context: BOS, else EOS. */
export function prefixId({ text: { tokenizer } }: Generator): number | undefined {
  return tokenizer.bosId ?? tokenizer.eosId;
}

/** Tokenises a pair. */
export function encodePair(generator: Generator, { context, continuation }: Continuation): EncodedPair {
  if (context === '') {
    const prefix = prefixId(generator);
    const ids = Array.from(encode(generator, continuation));
    // A tokenizer that begins texts with BOS has put the context there itself.
    if (prefix === undefined || ids[0] === prefix) return { context: ids.slice(0, 1), continuation: ids.slice(1) };
    return { context: [prefix], continuation: ids };
  }
  const bare = context.trimEnd();
  const whole = encode(generator, context + continuation);
  const before = bare === '' ? [] : Array.from(encode(generator, bare));
  return { context: before, continuation: Array.from(whole.subarray(before.length)) };
}

/** Ids that a model can take, cut from the front. */
function fitting(generator: Generator, { context, continuation }: EncodedPair): { ids: number[]; from: number } {
  const { maxPositions, ropes } = generator.model;
  // The last id is predicted and needs no place; learned positions have none beyond the last, though.
  const ids = [...context, ...continuation].slice(-(ropes.length > 0 ? maxPositions + 1 : maxPositions));
  return { ids, from: Math.max(1, ids.length - continuation.length) };
}

/** Scores continuations, several at a time. */
export async function scorePairs(generator: Generator, pairs: readonly EncodedPair[]): Promise<ContinuationScore[]> {
  const scored = await scoreTokens(
    generator.engine,
    pairs.map((pair) => fitting(generator, pair)),
  );
  return scored.map(({ logprobs, isGreedy }) => ({
    logprob: logprobs.reduce((sum, value) => sum + value, 0),
    isGreedy: isGreedy.every(Boolean),
  }));
}

/**
 * Scores the choices behind one context. Where each is a single token behind the same ids, as letters are, the context is computed once for all.
 * @returns ln p of each choice
 */
export async function scoreChoices(
  generator: Generator,
  context: string,
  choices: readonly string[],
): Promise<readonly number[]> {
  const pairs = choices.map((continuation) => encodePair(generator, { context, continuation }));
  const [first] = pairs;
  const isSingle = pairs.every(
    (pair) => pair.continuation.length === 1 && pair.context.length === first!.context.length,
  );
  if (!isSingle) return (await scorePairs(generator, pairs)).map(({ logprob }) => logprob);
  return scoreNext(
    generator,
    first!.context,
    pairs.map(({ continuation }) => continuation[0]!),
  );
}

/** ln p of each of several tokens behind the same ids. */
export async function scoreNext(
  generator: Generator,
  context: readonly number[],
  candidates: readonly number[],
): Promise<readonly number[]> {
  const request = fitting(generator, { context, continuation: candidates.slice(0, 1) });
  const [scored] = await scoreTokens(generator.engine, [{ ...request, candidates }]);
  return Array.from(scored!.candidates[0]!);
}
