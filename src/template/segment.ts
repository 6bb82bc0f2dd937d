/**
 * From a conversation to segments of text, each marked trained or not, with the reason. Nothing is found again by
 * searching: the marks come from the rendering.
 */
import type { ChatTemplate, RenderedConversation, RenderedTurn, RenderOptions } from './chat-template.ts';
import type { Conversation, Message } from './conversation.ts';

export type SegmentReason =
  /** What precedes an answer, its header included. */
  | 'prompt'
  /** The answer. */
  | 'answer'
  /** The end token of an answer. */
  | 'end'
  /** What the template writes after an end token. */
  | 'after-end'
  /** An answer of a turn with `train: false`. */
  | 'not-trained'
  /** An answer before the last one, with `maskHistory`. */
  | 'history'
  /** A part of an answer outside its trained spans. */
  | 'outside-span';

/** A stretch of the text, [start, end) in UTF-16 units. */
export interface Segment {
  readonly start: number;
  readonly end: number;
  /** Index of the message whose answer it belongs to; for a prompt, of the answer that follows; -1 after the last. */
  readonly message: number;
  readonly trained: boolean;
  readonly weight: number;
  readonly reason: SegmentReason;
}

export interface SegmentedText {
  readonly text: string;
  /** Covers the text in order without gaps. */
  readonly segments: readonly Segment[];
  readonly turns: readonly RenderedTurn[];
  /** Earlier assistant turns that stand in the text but are trained elsewhere. */
  readonly history: readonly RenderedTurn[];
}

export interface SegmentOptions {
  /** Trains prompts too. */
  readonly trainOnPrompt?: boolean;
  /** Trains the last answer only. */
  readonly maskHistory?: boolean;
  /** `keep` trains one rendering even where the template renders history otherwise than it was generated. */
  readonly historyThinking?: 'strip' | 'keep';
  readonly render?: RenderOptions;
}

class SegmentList {
  readonly segments: Segment[] = [];
  private cursor = 0;

  /** Adds a segment from where the last one ended; an empty one is left out. */
  add(end: number, segment: Omit<Segment, 'start' | 'end'>): void {
    if (end <= this.cursor) return;
    this.segments.push({ start: this.cursor, end, ...segment });
    this.cursor = end;
  }
}

/** The answer's parts by its spans. A span that ends with the content takes the end token along. */
function addAnswer(
  list: SegmentList,
  turn: RenderedTurn,
  message: Message,
  base: Omit<Segment, 'start' | 'end' | 'reason'>,
): void {
  const spans = message.trainedSpans;
  const { message: index } = base;
  if (spans === undefined) {
    list.add(turn.contentEnd, { ...base, reason: 'answer' });
    list.add(turn.end, { ...base, reason: 'end' });
    return;
  }
  const outside = { message: index, trained: false, weight: 0, reason: 'outside-span' } as const;
  const length = turn.contentEnd - turn.contentStart;
  let endIsTrained = false;
  for (const [begin, stop, weight] of spans.toSorted((a, b) => a[0] - b[0])) {
    const from = begin === 0 ? turn.promptEnd : turn.contentStart + Math.min(begin, length);
    const to = turn.contentStart + Math.min(stop, length);
    list.add(from, outside);
    list.add(to, { ...base, weight: weight ?? base.weight, reason: 'answer' });
    endIsTrained = stop >= length;
  }
  list.add(turn.contentEnd, outside);
  list.add(turn.end, endIsTrained ? { ...base, reason: 'end' } : outside);
}

function segmentRendering(
  { text, turns, history = [] }: RenderedConversation,
  messages: readonly Message[],
  lastAnswer: number,
  options: SegmentOptions,
): SegmentedText {
  const list = new SegmentList();
  const promptMark = {
    trained: options.trainOnPrompt === true,
    weight: options.trainOnPrompt === true ? 1 : 0,
    reason: 'prompt',
  } as const;
  for (const turn of turns) {
    const message = messages[turn.message]!;
    list.add(turn.promptEnd, { message: turn.message, ...promptMark });
    const masked = options.maskHistory === true && turn.message !== lastAnswer;
    const untrained = message.train === false || message.weight === 0;
    if (masked || untrained) {
      const reason = untrained ? 'not-trained' : 'history';
      list.add(turn.end, { message: turn.message, trained: false, weight: 0, reason });
    } else {
      addAnswer(list, turn, message, { message: turn.message, trained: true, weight: message.weight ?? 1 });
    }
  }
  const untrainedTail = { message: -1, trained: false, weight: 0 } as const;
  list.add(text.length, { ...untrainedTail, reason: turns.length === 0 ? 'prompt' : 'after-end' });
  return { text, segments: list.segments, turns, history };
}

/**
 * Renders a conversation and marks what is trained: in each assistant turn what follows the rendering of the turns
 * before it with the assistant's header, to its end token. Texts without a trained part are left out, but for the first.
 * @throws DataError where the template refuses the conversation.
 */
export function segmentConversation(
  template: ChatTemplate,
  conversation: Conversation,
  options: SegmentOptions = {},
): readonly SegmentedText[] {
  const { messages, tools } = conversation;
  const rendered = template.locate(messages, {
    ...options.render,
    ...(tools === undefined ? {} : { tools }),
    keepHistory: options.historyThinking === 'keep',
  });
  const lastAnswer = messages.findLastIndex(({ role }) => role === 'assistant');
  const texts = rendered.map((one) => segmentRendering(one, messages, lastAnswer, options));
  const trained = texts.filter(({ segments }) =>
    segments.some((segment) => segment.trained && segment.reason !== 'prompt'),
  );
  return trained.length > 0 ? trained : texts.slice(0, 1);
}
