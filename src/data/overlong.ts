/**
 * What happens to rows that are longer than their limits (contract 8). A prompt is cut inside its content, an answer
 * inside its content, never a header; a cut answer ends without an end token; only `llamafactory` cuts anywhere.
 * Knows no `node:` module.
 */
import type { Conversation, Message } from '../template/index.ts';
import { isBlank } from './fields.ts';
import { cutLikeLlamaFactory, trainedRuns } from './infer-seqlen.ts';
import type { EncodedRow, RowEncoder } from './row-encoder.ts';
import { ignoredLabel } from './sequence.ts';

/** What to do with a row that is too long. */
export type OverlongPolicy = 'drop' | 'keep-response' | 'keep-prompt' | 'split' | 'error' | 'llamafactory';

/** How long a sequence may be, in tokens. */
export interface LengthLimits {
  readonly cutoff_len: number;
  /** Tokens before and between the answers. */
  readonly max_prompt_length?: number | undefined;
  /** Tokens of the answers with their end tokens. */
  readonly max_response_length?: number | undefined;
}

/** A limit that a row exceeds. */
export interface Excess {
  readonly limit: 'cutoff_len' | 'max_prompt_length' | 'max_response_length';
  readonly maxTokens: number;
  readonly tokens: number;
}

/** What a row became: its sequences, or the limit that it cannot be made to fit. */
export type FittedRow =
  | { readonly sequences: readonly EncodedRow[]; readonly truncated: boolean }
  | { readonly excess: Excess };

/** Cuts of one row before it is given up: each brings it nearer, two are usual. */
const maxCuts = 64;

function trainedCount(labels: Int32Array): number {
  let count = 0;
  for (const label of labels) if (label !== ignoredLabel) count++;
  return count;
}

/** Tokens of the answers, and those before and between them. */
function measure({ labels, answers }: EncodedRow): { prompt: number; response: number } {
  if (answers === undefined) {
    const response = trainedCount(labels);
    return { prompt: lastTrained(labels) + 1 - response, response };
  }
  const response = answers.reduce((sum, [begin, end]) => sum + end - begin, 0);
  return { prompt: (answers.at(-1)?.[1] ?? 0) - response, response };
}

function excessOf(sequence: EncodedRow, limits: LengthLimits): Excess | undefined {
  const total = sequence.inputIds.length;
  const { cutoff_len, max_prompt_length, max_response_length } = limits;
  if (max_prompt_length !== undefined || max_response_length !== undefined) {
    const { prompt, response } = measure(sequence);
    if (max_response_length !== undefined && response > max_response_length) {
      return { limit: 'max_response_length', maxTokens: max_response_length, tokens: response };
    }
    if (max_prompt_length !== undefined && prompt > max_prompt_length) {
      return { limit: 'max_prompt_length', maxTokens: max_prompt_length, tokens: prompt };
    }
  }
  return total > cutoff_len ? { limit: 'cutoff_len', maxTokens: cutoff_len, tokens: total } : undefined;
}

function lastTrained(labels: Int32Array): number {
  let at = labels.length - 1;
  while (at >= 0 && labels[at] === ignoredLabel) at--;
  return at;
}

/** The largest excess of all sequences of a row, or undefined where each fits. */
function worstExcess(sequences: readonly EncodedRow[], limits: LengthLimits): Excess | undefined {
  let worst: Excess | undefined;
  for (const sequence of sequences) {
    const excess = excessOf(sequence, limits);
    if (excess && (!worst || excess.tokens - excess.maxTokens > worst.tokens - worst.maxTokens)) worst = excess;
  }
  return worst;
}

function withContent(message: Message, content: string): Message {
  const { instruction, ...rest } = message;
  // A shortened Alpaca turn keeps its two parts where the cut falls into the second.
  const inputStart = instruction === undefined ? 0 : instruction.instruction.length + 1;
  if (instruction !== undefined && content.length > inputStart) {
    return { ...rest, content, instruction: { ...instruction, input: content.slice(inputStart) } };
  }
  return { ...rest, content };
}

/** Shortens the prompt turn that has the most tokens (the system text last) until the row fits. */
function keepResponse(encoder: RowEncoder, conversation: Conversation, limits: LengthLimits): FittedRow {
  const messages = [...conversation.messages];
  for (let cut = 0; cut < maxCuts; cut++) {
    const sequences = encoder.encodeConversation({ ...conversation, messages });
    const excess = worstExcess(sequences, limits);
    if (excess === undefined) return { sequences, truncated: true };
    if (excess.limit === 'max_response_length') return { excess };
    if (!shortenPrompt(encoder, messages, excess.tokens - excess.maxTokens)) return { excess };
  }
  return { excess: worstExcess(encoder.encodeConversation({ ...conversation, messages }), limits)! };
}

/** Takes about `tokens` tokens from the prompt turn that has the most, in place; false where nothing is left to take. */
function shortenPrompt(encoder: RowEncoder, messages: Message[], tokens: number): boolean {
  const chosen = longestPrompt(encoder, messages);
  if (chosen === undefined) return false;
  const message = messages[chosen.index]!;
  const content = encoder.takeTokens(message.content, Math.max(1, chosen.tokens - tokens));
  if (content === message.content || isBlank(content)) return false;
  messages[chosen.index] = withContent(message, content);
  return true;
}

/**
 * The ids of a prompt, shortened inside the contents of its turns until it has at most `maxTokens`.
 * @param encode gives the ids of messages with the header of an answer.
 * @returns undefined where it cannot be made to fit.
 */
export function fitPrompt(
  encoder: RowEncoder,
  messages: readonly Message[],
  encode: (messages: readonly Message[]) => Int32Array,
  maxTokens: number,
): Int32Array | undefined {
  const shortened = [...messages];
  for (let cut = 0; cut < maxCuts; cut++) {
    const ids = encode(shortened);
    if (ids.length <= maxTokens) return ids;
    if (!shortenPrompt(encoder, shortened, ids.length - maxTokens)) return undefined;
  }
  return undefined;
}

function longestPrompt(
  encoder: RowEncoder,
  messages: readonly Message[],
): { index: number; tokens: number } | undefined {
  let chosen: { index: number; tokens: number } | undefined;
  for (const roles of [['user', 'tool'], ['system']]) {
    for (const [index, message] of messages.entries()) {
      if (!roles.includes(message.role)) continue;
      const tokens = encoder.countTokens(message.content);
      if (tokens > 1 && tokens > (chosen?.tokens ?? 0)) chosen = { index, tokens };
    }
    if (chosen) return chosen;
  }
  return undefined;
}

function slice(sequence: EncodedRow, end: number): EncodedRow {
  const { inputIds, labels, weights } = sequence;
  const cut = { inputIds: inputIds.subarray(0, end), labels: labels.subarray(0, end) };
  return weights ? { ...cut, weights: weights.subarray(0, end) } : cut;
}

/** How many tokens of a sequence stay within every limit when its end is cut off. */
function fittingLength({ inputIds }: EncodedRow, answers: Ranges, limits: LengthLimits): number {
  const maxPrompt = limits.max_prompt_length ?? Infinity;
  const maxResponse = limits.max_response_length ?? Infinity;
  let response = 0;
  let at = 0;
  let answer = 0;
  for (; at < Math.min(inputIds.length, limits.cutoff_len); at++) {
    while (answer < answers.length && at >= answers[answer]![1]) answer++;
    if (answer < answers.length && at >= answers[answer]![0]) response++;
    if (response > maxResponse || at + 1 - response > maxPrompt) break;
  }
  return at;
}

type Ranges = readonly (readonly [number, number])[];

/** Keeps turns from the front; the first answer that does not fit is cut inside its content, what follows is left out. */
function keepPrompt(encoder: RowEncoder, conversation: Conversation, limits: LengthLimits): FittedRow {
  const all = encoder.encodeConversation(conversation);
  const excess = worstExcess(all, limits)!;
  const answers = conversation.messages.flatMap((message, index) => (message.role === 'assistant' ? [index] : []));
  // The first answer with which the row no longer fits.
  let low = 0;
  let high = answers.length - 1;
  const encodeTo = (answer: number): readonly EncodedRow[] =>
    encoder.encodeConversation({ ...conversation, messages: conversation.messages.slice(0, answers[answer]! + 1) });
  while (low < high) {
    const middle = (low + high) >> 1;
    if (worstExcess(encodeTo(middle), limits)) high = middle;
    else low = middle + 1;
  }
  const whole = low === 0 ? [] : encodeTo(low - 1);
  const last = encodeTo(low).at(-1)!;
  const ranges = last.answers ?? trainedRuns(last.labels);
  const [runStart, runEnd] = ranges.at(-1) ?? [0, 0];
  const length = fittingLength(last, ranges, limits);
  // Inside the answer: at least one of its tokens, and not its end.
  if (length > runStart && length < runEnd) {
    const cut = slice(last, length);
    // Turns that are sequences of their own stand before the one that is cut.
    return { sequences: whole.length > 1 ? [...whole, cut] : [cut], truncated: true };
  }
  return whole.length > 0 ? { sequences: whole, truncated: true } : { excess };
}

/** Cuts a conversation between its exchanges into parts that fit, each with the system text. */
function split(encoder: RowEncoder, conversation: Conversation, limits: LengthLimits): FittedRow {
  const system = conversation.messages.filter(({ role }) => role === 'system');
  const exchanges: Message[][] = [];
  for (const message of conversation.messages) {
    if (message.role === 'system') continue;
    if (message.role === 'user' || exchanges.length === 0) exchanges.push([]);
    exchanges.at(-1)!.push(message);
  }
  const encode = (from: number, to: number): readonly EncodedRow[] =>
    encoder.encodeConversation({ ...conversation, messages: [...system, ...exchanges.slice(from, to).flat()] });
  const sequences: EncodedRow[] = [];
  for (let from = 0; from < exchanges.length;) {
    let to = from + 1;
    let fitted = encode(from, to);
    const excess = worstExcess(fitted, limits);
    if (excess) return { excess };
    while (to < exchanges.length) {
      const longer = encode(from, to + 1);
      if (worstExcess(longer, limits)) break;
      fitted = longer;
      to++;
    }
    // A part whose answers are all marked as untrained has nothing to teach.
    sequences.push(...fitted.filter(({ labels }) => lastTrained(labels) >= 0));
    from = to;
  }
  return { sequences, truncated: true };
}

/** Encodes a conversation so that each of its sequences fits. `maskHistory` matters to `llamafactory` only. */
export function fitConversation(
  encoder: RowEncoder,
  conversation: Conversation,
  limits: LengthLimits,
  policy: OverlongPolicy,
  maskHistory: boolean,
): FittedRow {
  const sequences = encoder.encodeConversation(conversation);
  const excess = worstExcess(sequences, limits);
  if (excess === undefined) return { sequences, truncated: sequences.some(({ truncated }) => truncated === true) };
  switch (policy) {
    case 'drop':
    case 'error':
      return { excess };
    case 'keep-response':
      return keepResponse(encoder, conversation, limits);
    case 'keep-prompt':
      return keepPrompt(encoder, conversation, limits);
    case 'split':
      return split(encoder, conversation, limits);
    case 'llamafactory':
      return {
        sequences: sequences.map((sequence) => cutLikeLlamaFactory(sequence, limits.cutoff_len, maskHistory)),
        truncated: true,
      };
  }
}

/** Encodes a text so that each of its sequences fits; a cut text ends without an end token, but for its last part. */
export function fitText(encoder: RowEncoder, text: string, limits: LengthLimits, policy: OverlongPolicy): FittedRow {
  const whole = encoder.encodeText(text);
  const { cutoff_len } = limits;
  const tokens = whole.inputIds.length;
  if (tokens <= cutoff_len) return { sequences: [whole], truncated: false };
  if (policy === 'drop' || policy === 'error')
    return { excess: { limit: 'cutoff_len', maxTokens: cutoff_len, tokens } };
  if (policy !== 'split') return { sequences: [slice(whole, cutoff_len)], truncated: true };
  const sequences: EncodedRow[] = [];
  for (let from = 0; from < tokens; from += cutoff_len) {
    const { inputIds, labels } = whole;
    sequences.push({
      inputIds: inputIds.subarray(from, from + cutoff_len),
      labels: labels.subarray(from, from + cutoff_len),
    });
  }
  return { sequences, truncated: true };
}
