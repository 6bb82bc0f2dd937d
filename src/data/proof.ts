/**
 * Proof of what is trained (`data proof`): for every conversation, that its ids are those of the rendering, that what is
 * asked at inference is how the trained ids begin, that each trained answer ends with its end token, and that no header of
 * an answer is left over; and where the model has a template of its own, the first byte in which ours differs from it.
 */
import type { ChatTemplate, Conversation, SegmentOptions } from '../template/index.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { DataError, messageText } from '../errors.ts';
import type { MessageFields } from '../messages/index.ts';
import { encodeConversation, type EncodedConversation, encodePrompt } from './encode.ts';
import type { Notice } from './notice.ts';
import { readRows } from './read-rows.ts';
import { resolveDatasets } from './registry.ts';
import { placeText, type RowPlace } from './row.ts';
import { ignoredLabel } from './sequence.ts';
import type { DataSettings } from './settings.ts';
import { templateDifference } from './template-match.ts';
import type { TextSettings, TextTools } from './text-tools.ts';

/** What can be wrong. The texts stand in the catalogue under `proof-` and the kind. */
export type MismatchKind = 'ids' | 'prefix' | 'end' | 'header' | 'model-template';

/** Something that is not as it must be. */
export interface Mismatch {
  readonly kind: MismatchKind;
  readonly row: number;
  readonly file: string;
  readonly line: number;
  /** Index of the message. */
  readonly turn: number;
  readonly message: string;
}

/** The outcome for all rows. */
export interface Proof {
  readonly template: string;
  /** Whether the model has a template of its own that ours was compared with. */
  readonly compared_with_model: boolean;
  readonly conversations: number;
  readonly sequences: number;
  /** Trained assistant turns. */
  readonly turns: number;
  /** Places where the text had to be split so that the prompt stays a prefix (contract 12). */
  readonly splits: number;
  /** Turns that are trained as a sequence of their own (contract 14). */
  readonly own_sequences: number;
  /** Rows that the template refuses; `data plan` names them. */
  readonly refused: number;
  /** Number of mismatches by kind; kinds without any are left out. */
  readonly mismatches: Readonly<Record<string, number>>;
  /** The first of them. */
  readonly examples: readonly Mismatch[];
}

/** Mismatches that are described; the others are counted. */
const maxExamples = 20;

/** Proves rows one after the other. */
class Prover {
  private readonly tokenizer: Tokenizer;
  private readonly template: ChatTemplate;
  private readonly options: SegmentOptions;
  private readonly own: ChatTemplate | undefined;
  private readonly counts: Record<string, number> = {};
  private readonly examples: Mismatch[] = [];
  conversations = 0;
  sequences = 0;
  turns = 0;
  splits = 0;
  ownSequences = 0;
  refused = 0;

  constructor(tokenizer: Tokenizer, template: ChatTemplate, options: SegmentOptions, own: ChatTemplate | undefined) {
    this.tokenizer = tokenizer;
    this.template = template;
    this.options = options;
    this.own = own;
  }

  prove(conversation: Conversation, place: RowPlace): void {
    let sequences: readonly EncodedConversation[];
    try {
      sequences = encodeConversation(this.tokenizer, this.template, conversation, this.options);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      this.refused++;
      return;
    }
    this.conversations++;
    this.sequences += sequences.length;
    if (sequences.length > 1) this.ownSequences += sequences.length - 1;
    const answers = conversation.messages.flatMap(({ role }, index) => (role === 'assistant' ? [index] : []));
    for (const sequence of sequences) {
      this.splits += sequence.splits.length;
      this.proveIds(sequence, place);
      this.proveEnds(sequence, place);
      this.proveHeader(sequence, conversation, place);
    }
    this.provePrefixes(sequences, conversation, answers, place);
    if (this.own) this.compare(this.own, conversation, place);
  }

  /** Unsplit text has the ids of the text; of split text, each part has its own. */
  private proveIds({ inputIds, text, splits }: EncodedConversation, place: RowPlace): void {
    if (splits.length > 0) return;
    const expected = this.tokenizer.encode(text);
    const at = expected.findIndex((id, index) => id !== inputIds[index]);
    if (at < 0 && expected.length === inputIds.length) return;
    const token = at < 0 ? Math.min(expected.length, inputIds.length) : at;
    this.add('ids', place, -1, { token, ours: inputIds[token], theirs: expected[token] });
  }

  /** The last token of every answer that is trained whole is its end. */
  private proveEnds({ reasons, labels }: EncodedConversation, place: RowPlace): void {
    for (let at = 0; at < reasons.length; at++) {
      const isLast = reasons[at] === 'answer' && reasons[at + 1] !== 'answer';
      if (!isLast || this.template.endToken === undefined) continue;
      const isTrained = reasons[at + 1] === 'end' && labels[at + 1] !== ignoredLabel;
      const isPartial = reasons[at + 1] === 'outside-span';
      if (!isTrained && !isPartial) this.add('end', place, -1, { token: at, end: this.template.endToken });
    }
  }

  /** Nothing that opens an answer stands after the last one. */
  private proveHeader(
    { text, reasons, starts }: EncodedConversation,
    conversation: Conversation,
    place: RowPlace,
  ): void {
    const last = reasons.findLastIndex((reason) => reason !== 'after-end');
    const tail = text.slice(starts[last + 1] ?? text.length);
    const prompt = conversation.messages.slice(0, 1 + conversation.messages.findIndex(({ role }) => role === 'user'));
    const closed = this.template.render(prompt, this.options.render);
    const opened = this.template.render(prompt, { ...this.options.render, addGenerationPrompt: true });
    const header = opened.startsWith(closed) ? opened.slice(closed.length).trim() : '';
    if (header !== '' && tail.includes(header)) this.add('header', place, conversation.messages.length - 1, { header });
  }

  /** What is asked at inference is how a trained sequence begins, for every answer. */
  private provePrefixes(
    sequences: readonly EncodedConversation[],
    { messages, tools }: Conversation,
    answers: readonly number[],
    place: RowPlace,
  ): void {
    for (const turn of answers) {
      if (messages[turn]!.train === false) continue;
      this.turns++;
      const render = { ...this.options.render, ...(tools === undefined ? {} : { tools }) };
      const prompt = encodePrompt(this.tokenizer, this.template, messages.slice(0, turn), render);
      const agrees = ({ inputIds }: EncodedConversation): number => {
        const at = prompt.findIndex((id, index) => id !== inputIds[index]);
        return at < 0 ? prompt.length : at;
      };
      const best = Math.max(...sequences.map(agrees));
      if (best === prompt.length || this.options.historyThinking === 'keep') continue;
      const text = this.tokenizer.decode(prompt.slice(best, best + 8));
      this.add('prefix', place, turn, { token: best, text });
    }
  }

  private compare(own: ChatTemplate, conversation: Conversation, place: RowPlace): void {
    const difference = templateDifference(this.template, own, conversation, this.options.render);
    if (difference === undefined) return;
    const { turn, ...fields } = difference;
    this.add('model-template', place, turn, { ...fields, template: this.template.name });
  }

  private add<K extends MismatchKind>(
    kind: K,
    place: RowPlace,
    turn: number,
    fields: Omit<MessageFields<`proof-${K}`>, 'where' | 'turn'>,
  ): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    if (this.examples.length >= maxExamples) return;
    const { row, file, line } = place;
    const all = { ...fields, where: placeText(place), turn } as unknown as MessageFields<`proof-${K}`>;
    this.examples.push({ kind, row, file, line, turn, message: messageText(`proof-${kind}`, all) });
  }

  get proof(): Proof {
    return {
      template: this.template.name,
      compared_with_model: this.own !== undefined,
      conversations: this.conversations,
      sequences: this.sequences,
      turns: this.turns,
      splits: this.splits,
      own_sequences: this.ownSequences,
      refused: this.refused,
      mismatches: this.counts,
      examples: this.examples,
    };
  }
}

/**
 * Proves all conversations of `dataset`.
 * @throws ConfigError where there is no template, and what `resolveDatasets` and `readRows` throw.
 */
export async function proofData(
  settings: DataSettings & TextSettings,
  { tokenizer, modelTemplate, requireTemplate }: Pick<TextTools, 'tokenizer' | 'modelTemplate' | 'requireTemplate'>,
  notices: Notice[] = [],
): Promise<Proof> {
  const template = requireTemplate();
  const options: SegmentOptions = {
    trainOnPrompt: settings.train_on_prompt,
    maskHistory: settings.mask_history,
    historyThinking: settings.history_thinking,
  };
  const prover = new Prover(tokenizer, template, options, modelTemplate);
  const entries = await resolveDatasets(settings.dataset, settings.dataset_dir, notices);
  for await (const group of readRows(entries, settings, notices)) {
    for (const { place, example } of group) {
      if (example?.kind === 'conversation' || example?.kind === 'tagged') prover.prove(example.conversation, place);
    }
  }
  return prover.proof;
}
