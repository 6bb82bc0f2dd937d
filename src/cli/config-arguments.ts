/** The arguments `CONFIG.yaml key=value ...` of a command -> a checked configuration. */
import { isOverride, loadConfig, type LoadedConfig, type RequiredKeys } from '../config/index.ts';
import { configNoticeText } from '../messages/config.ts';
import type { CommandContext } from './command.ts';

/** Loads the configuration that a command was given and prints its notices. @throws ConfigError */
export function loadCommandConfig(context: CommandContext, requires: RequiredKeys): LoadedConfig {
  const [first, ...rest] = context.arguments;
  const hasFile = first !== undefined && !isOverride(first);
  const loaded = loadConfig({
    file: hasFile ? first : undefined,
    overrides: hasFile ? rest : context.arguments,
    requires,
    command: context.command,
  });
  context.onConfig(loaded.provenance);
  for (const notice of loaded.notices) context.err.line(context.err.style('dim', configNoticeText(notice)));
  return loaded;
}
