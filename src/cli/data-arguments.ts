/** What the commands on data share: the configuration, tokenizer and template, and what the data room has to say. */
import type { FettleConfig } from '../config/index.ts';
import { type Notice, openTextTools, type TextTools } from '../data/index.ts';
import type { CommandContext } from './command.ts';
import { openCommandConfig } from './config-arguments.ts';

/** Loads configuration, tokenizer and template. */
export async function openDataCommand(
  context: CommandContext,
): Promise<{ readonly config: FettleConfig; readonly text: TextTools }> {
  const { config } = await openCommandConfig(context, ['model_name_or_path', 'dataset'], 'without weights');
  return { config, text: await openTextTools(config) };
}

/** Prints notices, each once. */
export function printNotices(context: CommandContext, notices: readonly Notice[]): void {
  const { err } = context;
  for (const text of new Set(notices.map((notice) => notice.text))) err.line(err.style('yellow', text));
}
