/** What the commands on data share: the configuration, tokenizer and template, and what the data room has to say. */
import type { FettleConfig, RequiredKeys } from '../config/index.ts';
import { type Notice, openTextTools, type TextTools, withInputProblems, withModelLength } from '../data/index.ts';
import type { CommandContext } from './command.ts';
import { openCommandConfig } from './config-arguments.ts';

/** Loads configuration, tokenizer and template. */
export async function openDataCommand(
  context: CommandContext,
): Promise<{ readonly config: FettleConfig; readonly text: TextTools }> {
  const config = await openDataConfig(context, ['model_name_or_path', 'dataset']);
  return { config, text: await withInputProblems(config, () => openTextTools(config)) };
}

/** Loads the configuration of a command on data; its `cutoff_len` is one that the model can have. */
export async function openDataConfig(context: CommandContext, requires: RequiredKeys): Promise<FettleConfig> {
  const loaded = await openCommandConfig(context, requires, 'without weights');
  const notices: Notice[] = [];
  const config = await withModelLength(loaded.config, loaded.given.includes('cutoff_len'), notices);
  printNotices(context, notices);
  return config;
}

/** Prints notices, each once. */
export function printNotices(context: CommandContext, notices: readonly Notice[]): void {
  const { err } = context;
  for (const text of new Set(notices.map((notice) => notice.text))) err.line(err.style('yellow', text));
}
