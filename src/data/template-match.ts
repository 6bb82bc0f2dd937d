/**
 * Whether a template that the config names renders as the model's own chat template does. `data proof` reports where it
 * does not; training refuses it unless `template_mismatch: allow`, since such a model answers as it never was taught to.
 */
import { DataError } from '../errors.ts';
import type { ChatTemplate, Conversation, Message, RenderOptions } from '../template/index.ts';
import { readRows } from './read-rows.ts';
import { resolveDatasets } from './registry.ts';
import { placeText } from './row.ts';
import type { DataSettings } from './settings.ts';
import type { TextTools } from './text-tools.ts';

/** Where a rendering leaves the model's own. */
export interface TemplateDifference {
  /** Index of the message in whose rendering the byte stands. */
  readonly turn: number;
  /** Place of the first byte that differs, in UTF-8. */
  readonly byte: number;
  /** What stands there in each. */
  readonly ours: string;
  readonly theirs: string;
}

/** Characters of each rendering that a message shows. */
const shownCharacters = 20;

const byteLength = (text: string): number => new TextEncoder().encode(text).length;

/** The turn in whose rendering a byte stands. */
function turnAt(template: ChatTemplate, messages: readonly Message[], byte: number, render: RenderOptions): number {
  for (let count = 1; count < messages.length; count++) {
    try {
      if (byteLength(template.render(messages.slice(0, count), render)) > byte) return count - 1;
    } catch (error) {
      // A beginning without an answer may be refused where the whole is not.
      if (!(error instanceof DataError)) throw error;
    }
  }
  return messages.length - 1;
}

/**
 * The first byte in which `ours` renders a conversation otherwise than `own`; undefined where there is none, where `own`
 * refuses the conversation, or where only white space behind the last answer differs, which nothing is trained on.
 */
export function templateDifference(
  ours: ChatTemplate,
  own: ChatTemplate,
  { messages, tools }: Conversation,
  options: RenderOptions = {},
): TemplateDifference | undefined {
  const render = { ...options, ...(tools === undefined ? {} : { tools }) };
  let theirs: string;
  try {
    theirs = own.render(messages, render);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return undefined;
  }
  const text = ours.render(messages, render);
  if (text.trimEnd() === theirs.trimEnd()) return undefined;
  let at = 0;
  while (at < text.length && at < theirs.length && text[at] === theirs[at]) at++;
  const byte = byteLength(text.slice(0, at));
  const end = at + shownCharacters;
  return { turn: turnAt(ours, messages, byte, render), byte, ours: text.slice(at, end), theirs: theirs.slice(at, end) };
}

/** Conversations that are rendered both ways before a training; more would say the same. */
const checkedConversations = 64;
/** Rows that are looked at for them. */
const checkedRows = 1024;

/**
 * Refuses a named template that is not what the model was taught.
 * @throws DataError `template-mismatch` with the first byte that differs, and what resolving and reading the rows throws.
 */
export async function requireModelTemplate(
  settings: DataSettings & { readonly template_mismatch: 'error' | 'allow' },
  { template, modelTemplate }: Pick<TextTools, 'template' | 'modelTemplate'>,
): Promise<void> {
  if (settings.template_mismatch === 'allow' || template === undefined || modelTemplate === undefined) return;
  const entries = await resolveDatasets(settings.dataset, settings.dataset_dir, []);
  let rows = 0;
  let conversations = 0;
  for await (const group of readRows(entries, settings, [])) {
    for (const { place, example } of group) {
      rows++;
      if (example?.kind !== 'conversation' && example?.kind !== 'tagged') continue;
      conversations++;
      let difference: TemplateDifference | undefined;
      try {
        difference = templateDifference(template, modelTemplate, example.conversation);
      } catch (error) {
        // A row that the named template refuses is told with all others of its kind.
        if (!(error instanceof DataError)) throw error;
      }
      if (difference === undefined) continue;
      throw new DataError('template-mismatch', { where: placeText(place), template: template.name, ...difference });
    }
    if (rows >= checkedRows || conversations >= checkedConversations) return;
  }
}
