/**
 * Conversations and texts to ids and labels. Ids are those of the whole rendering tokenised at once; only where that
 * would join the end of a prompt and the beginning of an answer in one token is the text split, so that what is
 * tokenised at inference is how the trained ids begin. Knows no `node:` module.
 */
import {
  type ChatTemplate,
  type Conversation,
  type Message,
  type RenderOptions,
  segmentConversation,
  type SegmentedText,
  type SegmentOptions,
  type SegmentReason,
} from '../template/index.ts';
import type { Encoding, Tokenizer } from '../tokenizer/index.ts';

/** Label of a token that is not trained, as Hugging Face has it. */
export const untrainedLabel = -100;

export interface EncodedConversation {
  /** i32[T]. */
  readonly inputIds: Int32Array;
  /** i32[T], -100 where a token is not trained. */
  readonly labels: Int32Array;
  /** f32[T], the weight of each label; left out means 1 everywhere. */
  readonly weights?: Float32Array;
  /** Why each token is trained or not. */
  readonly reasons: readonly SegmentReason[];
  /** u32[T], where each token begins in `text`, in UTF-16 units. */
  readonly starts: Uint32Array;
  readonly text: string;
  /** Places where the text was split because a token would have joined prompt and answer. */
  readonly splits: readonly number[];
}

/** Index of the first token that begins at or after a place. */
function firstTokenAt(starts: Uint32Array, place: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (starts[middle]! < place) low = middle + 1;
    else high = middle;
  }
  return low;
}

function beginsWith(ids: Int32Array, prefix: Int32Array): boolean {
  if (prefix.length > ids.length) return false;
  for (let i = 0; i < prefix.length; i++) if (ids[i] !== prefix[i]) return false;
  return true;
}

/**
 * Tokenises a text so that what precedes each of the places is tokenised as if it stood alone. It is split only where
 * that is not so anyway; what follows a split is tokenised as a continuation.
 */
export function encodeWithBoundaries(
  tokenizer: Tokenizer,
  text: string,
  boundaries: readonly number[],
): Encoding & { readonly splits: readonly number[] } {
  const parts: { encoding: Encoding; from: number }[] = [];
  const splits: number[] = [];
  let from = 0;
  const encodePart = (start: number, end: number): Encoding => {
    const part = start === 0 && end === text.length ? text : text.slice(start, end);
    return start === 0 ? tokenizer.encodeWithOffsets(part) : tokenizer.encodeContinuationWithOffsets(part);
  };
  let rest = encodePart(0, text.length);
  for (const boundary of boundaries) {
    if (boundary <= from || boundary >= text.length) continue;
    const part = text.slice(from, boundary);
    const before = from === 0 ? tokenizer.encode(part) : tokenizer.encodeContinuation(part);
    const isClean = beginsWith(rest.ids, before) && firstTokenAt(rest.starts, boundary - from) === before.length;
    if (isClean) continue;
    parts.push({ encoding: encodePart(from, boundary), from });
    splits.push(boundary);
    from = boundary;
    rest = encodePart(from, text.length);
  }
  if (parts.length === 0) return { ...rest, splits };
  parts.push({ encoding: rest, from });
  const total = parts.reduce((sum, { encoding }) => sum + encoding.ids.length, 0);
  const ids = new Int32Array(total);
  const starts = new Uint32Array(total);
  let filled = 0;
  for (const { encoding, from: base } of parts) {
    ids.set(encoding.ids, filled);
    encoding.starts.forEach((start, i) => (starts[filled + i] = start + base));
    filled += encoding.ids.length;
  }
  return { ids, starts, splits };
}

/** Where a text may have to be split: at the beginning of each answer, and at its end where no special token ends it. */
function boundariesOf(
  tokenizer: Tokenizer,
  { text, turns, history }: Pick<SegmentedText, 'text' | 'turns' | 'history'>,
): number[] {
  const special = specialTexts(tokenizer);
  return [...history, ...turns].flatMap(({ promptEnd, contentEnd, end }) => {
    const ending = text.slice(contentEnd, end).trimStart();
    return special.has(ending) ? [promptEnd] : [promptEnd, end];
  });
}

const specialTextsOf = new WeakMap<Tokenizer, ReadonlySet<string>>();

function specialTexts(tokenizer: Tokenizer): ReadonlySet<string> {
  let texts = specialTextsOf.get(tokenizer);
  if (texts === undefined) {
    texts = new Set(Array.from(tokenizer.specialIds, (id) => tokenizer.tokenText(id)));
    specialTextsOf.set(tokenizer, texts);
  }
  return texts;
}

function encodeSegments(tokenizer: Tokenizer, segmented: SegmentedText): EncodedConversation {
  const { text, segments } = segmented;
  const { ids, starts, splits } = encodeWithBoundaries(tokenizer, text, boundariesOf(tokenizer, segmented));
  const labels = new Int32Array(ids.length).fill(untrainedLabel);
  const weights = new Float32Array(ids.length);
  const reasons: SegmentReason[] = [];
  let isWeighted = false;
  let s = 0;
  ids.forEach((id, i) => {
    while (s + 1 < segments.length && starts[i]! >= segments[s]!.end) s++;
    // A token that begins before a trained span and reaches into it ("▁two") belongs to the span.
    const reaches = segments[s]?.reason === 'outside-span' && (starts[i + 1] ?? text.length) > segments[s]!.end;
    const segment = reaches && segments[s + 1]?.trained === true ? segments[s + 1] : segments[s];
    reasons.push(segment?.reason ?? 'prompt');
    if (segment?.trained !== true) return;
    labels[i] = id;
    weights[i] = segment.weight;
    if (segment.weight !== 1) isWeighted = true;
  });
  return { inputIds: ids, labels, ...(isWeighted ? { weights } : {}), reasons, starts, text, splits };
}

/**
 * Encodes a conversation: one sequence, or several where a turn must be trained as inference would see it.
 * @throws DataError where the template refuses the conversation.
 */
export function encodeConversation(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  conversation: Conversation,
  options: SegmentOptions = {},
): readonly EncodedConversation[] {
  return segmentConversation(template, conversation, options).map((text) => encodeSegments(tokenizer, text));
}

/**
 * The ids of a prompt: the messages with the assistant's header. For messages that precede an assistant turn of a
 * conversation they are how the trained ids of that turn's sequence begin.
 */
export function encodePrompt(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  messages: readonly Message[],
  options: RenderOptions = {},
): Int32Array {
  const text = template.render(messages, { ...options, addGenerationPrompt: true });
  // Answers of earlier turns are split from their prompts just as they were in training.
  const [located] = template.locate(messages, options);
  const isPrefix = located !== undefined && text.startsWith(located.text.slice(0, located.turns.at(-1)?.end ?? 0));
  const boundaries = isPrefix ? boundariesOf(tokenizer, { history: [], ...located }) : [];
  return encodeWithBoundaries(tokenizer, text, boundaries).ids;
}

/** The longest beginning of a text that has at most `count` tokens. */
export function takeTokens(tokenizer: Tokenizer, text: string, count: number): string {
  const { ids, starts } = tokenizer.encodeWithOffsets(text);
  if (ids.length <= count) return text;
  let end = starts[count]!;
  // Cut text may tokenise otherwise than it did inside the whole: shorten until it fits.
  while (end > 0 && tokenizer.encode(text.slice(0, end)).length > count) {
    const index = firstTokenAt(starts, end);
    end = index > 0 ? starts[index - 1]! : 0;
  }
  return text.slice(0, end);
}
