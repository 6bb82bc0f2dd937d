/** What the rows need of a tokenizer and a template: conversations and texts become ids and labels. Knows no `node:` module. */
import { DataError } from '../errors.ts';
import type { ChatTemplate, Conversation, SegmentOptions, SegmentReason } from '../template/index.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { encodeConversation, takeTokens } from './encode.ts';
import type { EncoderPlan } from './encoder-plan.ts';

/** Ids and labels without the row that they come from. */
export interface EncodedRow {
  /** i32[T]. */
  readonly inputIds: Int32Array;
  /** i32[T], -100 where a token is not trained. */
  readonly labels: Int32Array;
  /** f32[T]; left out means 1 everywhere. */
  readonly weights?: Float32Array;
  /** [begin, end) in tokens of each answer with its end token, trained or not; left out means the runs of labels. */
  readonly answers?: readonly (readonly [number, number])[];
  /** Why each token is trained or not. */
  readonly reasons?: readonly SegmentReason[];
  /** True where the encoder itself has cut the row (mask recipes). */
  readonly truncated?: boolean;
}

/** A pure function of the row: equal rows give equal ids, in any order and on any worker. */
export interface RowEncoder {
  /** One sequence, or several where a turn must be trained as inference would see it (contract 14). */
  encodeConversation(conversation: Conversation): readonly EncodedRow[];
  /** A text and its end token, every token trained. */
  encodeText(text: string): EncodedRow;
  /** Number of tokens of a text alone. */
  countTokens(text: string): number;
  /** The longest start of a text that has at most `count` tokens. */
  takeTokens(text: string, count: number): string;
  /** All that decides on the ids and labels: equal parts mean equal encoders. */
  readonly identity?: readonly (string | Uint8Array)[];
  /** What it is made of, so that another thread can have the same; left out: it stays in its thread. */
  readonly plan?: EncoderPlan;
}

const answerReasons: ReadonlySet<SegmentReason> = new Set<SegmentReason>([
  'answer',
  'end',
  'not-trained',
  'history',
  'outside-span',
]);

/** The answers of a sequence by the reasons of its tokens. Between two answers always stands a header. */
function answersOf(reasons: readonly SegmentReason[]): [number, number][] {
  const answers: [number, number][] = [];
  for (let at = 0; at < reasons.length;) {
    const begin = at;
    while (at < reasons.length && answerReasons.has(reasons[at]!)) at++;
    if (at > begin) answers.push([begin, at]);
    else at++;
  }
  return answers;
}

/** A template that does not write the calls of a turn would train it to say nothing. */
function requireCalls(
  { messages }: Conversation,
  sequences: readonly { readonly text: string }[],
  template: ChatTemplate,
): void {
  for (const { toolCalls } of messages) {
    for (const { name } of toolCalls ?? []) {
      if (!sequences.some(({ text }) => text.includes(name))) {
        throw new DataError('template-drops-calls', { template: template.name, name });
      }
    }
  }
}

/**
 * The encoder of a tokenizer with a template. Its `encodeConversation` throws DataError where the template refuses a
 * conversation, or leaves out the calls of its tools.
 */
export function createRowEncoder(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  options: SegmentOptions = {},
): RowEncoder {
  const { eosId } = tokenizer;
  return {
    encodeConversation: (conversation) => {
      const sequences = encodeConversation(tokenizer, template, conversation, options);
      requireCalls(conversation, sequences, template);
      return sequences.map(({ inputIds, labels, weights, reasons }) => {
        const row = { inputIds, labels, reasons, answers: answersOf(reasons) };
        return weights ? { ...row, weights } : row;
      });
    },
    encodeText: (text) => {
      const ids = tokenizer.encode(text);
      // The text and its end, nothing before it (contract 16).
      const inputIds = eosId === undefined ? ids : new Int32Array(ids.length + 1);
      if (eosId !== undefined) {
        inputIds.set(ids);
        inputIds[ids.length] = eosId;
      }
      return { inputIds, labels: inputIds.slice() };
    },
    countTokens: (text) => tokenizer.encode(text).length,
    takeTokens: (text, count) => takeTokens(tokenizer, text, count),
    identity: [...tokenizer.files].flat().concat(template.hash, JSON.stringify(options)),
  };
}
