/** One row, as its file has it, becomes an example or a named problem. Knows no `node:` module. */
import type { FileRecord } from '../formats/index.ts';
import { convertAlpaca, convertPromptCompletion, convertText } from './convert-alpaca.ts';
import { convertFirefly, convertMessages } from './convert-messages.ts';
import { convertPair, convertTagged } from './convert-preference.ts';
import { type Columns, openaiTags, type RowFormat, sharegptTags, type Tags } from './dataset-entry.ts';
import type { Example } from './example.ts';
import { asFields, type Fields, isFields } from './fields.ts';
import { RowFailure, rowProblem, type RowProblem } from './row.ts';

/** What is trained: texts (`pt`), conversations (`sft`), pairs of answers (`rm`, `dpo`) or marked answers (`kto`). */
export type DataStage = 'pt' | 'sft' | 'rm' | 'dpo' | 'kto';

/** How the rows of one data set are to be understood. */
export interface RowReading {
  readonly stage: DataStage;
  readonly format: RowFormat;
  readonly columns: Columns;
  readonly tags: Tags;
  readonly ranking: boolean;
}

/** What a row became. */
export type ConvertedRow = { readonly example: Example } | { readonly problem: RowProblem };

function textColumn(fields: Fields, { format, columns }: RowReading): string {
  // LLaMA-Factory's pre-training sets name their text column `prompt`.
  if (format !== 'text' && Object.hasOwn(fields, columns.prompt)) return columns.prompt;
  return format === 'text' ? textOf(columns) : 'text';
}

/** The text column of a set of texts: `text`, unless the registry names another. */
function textOf(columns: Columns): string {
  return columns.prompt === 'instruction' ? 'text' : columns.prompt;
}

function convert(fields: Fields, reading: RowReading): Example {
  const { stage, format, columns, tags } = reading;
  if (stage === 'pt') return convertText(fields, textColumn(fields, reading));
  if (reading.ranking) return convertPair(fields, format, columns, tags);
  if (stage === 'kto' && columns.kto_tag !== null) return convertTagged(fields, format, columns, tags, columns.kto_tag);
  switch (format) {
    case 'alpaca':
      return convertAlpaca(fields, columns);
    case 'sharegpt':
    case 'openai':
      return convertMessages(fields, columns, tags);
    case 'firefly':
      return convertFirefly(fields, columns);
    case 'prompt-completion':
      return convertPromptCompletion(fields);
    case 'text':
      return convertText(fields, textOf(columns));
  }
}

/** Converts one record. Never throws for what a row holds. */
export function convertRow(record: FileRecord, reading: RowReading): ConvertedRow {
  const { fault } = record;
  if (fault) {
    return {
      problem: rowProblem(fault.kind === 'fields' || fault.kind === 'quote' ? 'wrong-fields' : 'bad-json', [], {
        fault,
      }),
    };
  }
  try {
    return { example: convert(asFields(record.value, []), reading) };
  } catch (error) {
    if (error instanceof RowFailure) return { problem: error.problem };
    throw error;
  }
}

/** The fields that a reading looks at, to tell which others a data set has in vain. */
export function usedFields({ stage, format, columns, ranking }: RowReading): Set<string> {
  const alpaca = [columns.prompt, columns.query, columns.history];
  const messages = [columns.messages];
  const answers = ranking ? [columns.chosen, columns.rejected] : [];
  const shared = [columns.system, columns.tools, stage === 'kto' ? columns.kto_tag : null];
  const byFormat: Record<RowFormat, (string | null)[]> = {
    alpaca: [...alpaca, ...(ranking ? [] : [columns.response]), ...shared],
    sharegpt: [...messages, ...shared],
    openai: [...messages, ...shared],
    firefly: ['conversation', columns.system],
    'prompt-completion': ['prompt', 'completion'],
    text: [textOf(columns)],
  };
  const names = stage === 'pt' ? [columns.prompt, 'text'] : [...byFormat[format], ...answers];
  return new Set(names.filter((name) => name !== null));
}

/** The tags that the messages of a row tell: their keys, and the words that they have for the two sides. */
export function detectTags(messages: readonly unknown[]): Tags {
  const turns = messages.filter(isFields);
  const has = (key: string): boolean => turns.some((turn) => Object.hasOwn(turn, key));
  const role_tag = has('role') ? 'role' : 'from';
  const content_tag = has('content') ? 'content' : 'value';
  const words = new Set(turns.map((turn) => turn[role_tag]));
  const base = role_tag === 'role' ? openaiTags : sharegptTags;
  const word = (usual: string, other: string): string => (!words.has(usual) && words.has(other) ? other : usual);
  const [user, assistant] = role_tag === 'role' ? ['human', 'gpt'] : ['user', 'assistant'];
  return {
    ...base,
    role_tag,
    content_tag,
    user_tag: word(base.user_tag, user),
    assistant_tag: word(base.assistant_tag, assistant),
  };
}

/** The format that the fields of a row tell, with the columns and tags that go with it; undefined where they tell none. */
export function detectFormat(value: unknown): { format: RowFormat; messages?: string; tags?: Tags } | undefined {
  if (!isFields(value)) return undefined;
  for (const column of ['messages', 'conversations']) {
    const messages = value[column];
    if (!Array.isArray(messages)) continue;
    const first: unknown = messages[0];
    const isOpenai = isFields(first) ? Object.hasOwn(first, 'role') : column === 'messages';
    return { format: isOpenai ? 'openai' : 'sharegpt', messages: column, tags: detectTags(messages) };
  }
  const has = (...names: string[]): boolean => names.every((name) => Object.hasOwn(value, name));
  if (Array.isArray(value['conversation'])) return { format: 'firefly' };
  if (has('instruction', 'output') || has('instruction', 'chosen', 'rejected')) return { format: 'alpaca' };
  if (has('prompt', 'completion')) return { format: 'prompt-completion' };
  if (has('text')) return { format: 'text' };
  if (has('instruction')) return { format: 'alpaca' };
  return undefined;
}
