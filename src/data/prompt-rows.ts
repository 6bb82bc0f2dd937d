/** Rows as questions with their right answers: what predictions and comparisons ask. The last answer of a row is the one that is asked for. */
import { DataError } from '../errors.ts';
import type { Conversation } from '../template/index.ts';
import { encodePrompt } from './encode.ts';
import type { Example } from './example.ts';
import type { Notice } from './notice.ts';
import { fitPrompt } from './overlong.ts';
import { encodeExample, readRows } from './read-rows.ts';
import { resolveDatasets } from './registry.ts';
import { RowTally } from './row-tally.ts';
import { type RowPlace, rowProblem } from './row.ts';
import { ignoredLabel } from './sequence.ts';
import type { DataSettings } from './settings.ts';
import { chooseValidation, validationCount } from './split.ts';
import type { TextTools } from './text-tools.ts';

/** A question of a data set. */
export interface PromptRow {
  readonly place: RowPlace;
  /** With the header of the answer; at most max_prompt_length, else cutoff_len, tokens. */
  readonly promptIds: Int32Array;
  /** The right answer. */
  readonly label: string;
}

/** A conversation without its last answer, and that answer; undefined for texts, which ask nothing. */
function questionOf(example: Example): { readonly question: Conversation; readonly whole: Conversation } | undefined {
  switch (example.kind) {
    case 'text':
      return undefined;
    case 'pair':
      return {
        question: example.prompt,
        whole: { ...example.prompt, messages: [...example.prompt.messages, example.chosen] },
      };
    default: {
      const { conversation } = example;
      const last = conversation.messages.findLastIndex(({ role }) => role === 'assistant');
      const until = (end: number): Conversation => ({
        ...conversation,
        messages: conversation.messages.slice(0, end),
      });
      return { question: until(last), whole: until(last + 1) };
    }
  }
}

/** The last answer as it is written; calls of tools as the template writes them. */
function labelOf(whole: Conversation, { encoder, tokenizer }: TextTools): string {
  const { content, toolCalls } = whole.messages.at(-1)!;
  if (toolCalls === undefined || toolCalls.length === 0) return content;
  const sequence = encoder.encodeConversation(whole).at(-1)!;
  const [from, to] = sequence.answers?.at(-1) ?? [
    sequence.labels.findIndex((label) => label !== ignoredLabel),
    sequence.labels.length,
  ];
  return tokenizer.decode(sequence.inputIds.subarray(from, to), { skipSpecialTokens: true }).trim();
}

/**
 * Questions of `eval_dataset`; where there is none, those rows of `dataset` that `val_size` sets aside in training, else all.
 * @throws DataError `bad-rows` and `no-usable-row`, and what `resolveDatasets` and `readRows` throw.
 */
export async function readPromptRows(
  settings: DataSettings,
  text: TextTools,
  notices: Notice[] = [],
): Promise<readonly PromptRow[]> {
  const names = settings.eval_dataset.length > 0 ? settings.eval_dataset : settings.dataset;
  const splits = settings.eval_dataset.length === 0 && settings.val_size > 0;
  const entries = await resolveDatasets(names, settings.dataset_dir, notices);
  const template = text.requireTemplate();
  const maxTokens = settings.max_prompt_length ?? settings.cutoff_len;
  const cuts = settings.overlong !== 'drop' && settings.overlong !== 'error';
  const rows: PromptRow[] = [];
  const [tally, refused, overlong] = [new RowTally(), new RowTally(), new RowTally()];
  const reading = { ...settings, stage: settings.stage === 'pt' ? ('sft' as const) : settings.stage };
  /** Rows that training keeps; among them it chooses those for evaluation. */
  const trainable: (PromptRow | undefined)[] = [];
  for await (const group of readRows(entries, reading, notices)) {
    for (const { place, example, problem } of group) {
      tally.read++;
      const parts = example === undefined ? undefined : questionOf(example);
      if (example === undefined || parts === undefined) {
        const found = problem ?? rowProblem('no-assistant-turn', [], { field: 'the row' });
        tally.add(found, place);
        if (settings.bad_rows === 'error') refused.add(found, place);
        continue;
      }
      const { question, whole } = parts;
      const options = question.tools === undefined ? {} : { tools: question.tools };
      const encode = (messages: Conversation['messages']): Int32Array =>
        encodePrompt(text.tokenizer, template, messages, options);
      const { length: tokens } = encode(question.messages);
      const fits = tokens <= maxTokens;
      const promptIds = fits || cuts ? fitPrompt(text.encoder, question.messages, encode, maxTokens) : undefined;
      const isTrainable = splits && !('problem' in encodeExample(example, text.encoder, settings));
      if (promptIds === undefined) {
        const limit = settings.max_prompt_length === undefined ? 'cutoff_len' : 'max_prompt_length';
        const found = rowProblem('over-length', [], { limit, maxTokens, tokens });
        tally.add(found, place);
        if (settings.overlong === 'error') overlong.add(found, place);
        if (isTrainable) trainable.push(undefined);
        continue;
      }
      if (!fits) tally.truncated++;
      const row = { place, promptIds, label: labelOf(whole, text) };
      if (isTrainable) trainable.push(row);
      rows.push(row);
    }
  }
  refused.refuse('bad-rows');
  overlong.refuse('overlong');
  const chosen = splits ? setAside(trainable, settings) : rows;
  if (chosen.length === 0) {
    throw new DataError('no-usable-row', { datasets: names, read: tally.read, counts: tally.byRule });
  }
  notices.push(...tally.notices(settings.overlong));
  return chosen;
}

function setAside(rows: readonly (PromptRow | undefined)[], settings: DataSettings): PromptRow[] {
  const count = validationCount(rows.length, settings.val_size);
  const isValidation = chooseValidation(rows.length, count, settings.data_seed);
  return rows.filter((row, i): row is PromptRow => row !== undefined && isValidation[i] === 1);
}
