/** The arguments `CONFIG.yaml key=value ...` of a command -> a checked configuration whose models are on this machine. */
import { isOverride, loadConfig, type LoadedConfig, type RequiredKeys } from '../config/index.ts';
import { withInputProblems } from '../data/index.ts';
import type { FettleConfig } from '../config/index.ts';
import { type HubOptions, type ModelPart, withLocalModels } from '../hub/index.ts';
import { downloadTexts } from '../messages/cli.ts';
import { configNoticeText } from '../messages/config.ts';
import type { CommandContext } from './command.ts';
import { loadPlugins } from '../plugins/index.ts';
import { ProgressLine } from './progress.ts';

/** Loads the configuration that a command was given and prints its notices. @throws ConfigError */
function loadCommandConfig(context: CommandContext, requires: RequiredKeys): LoadedConfig {
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

/** What a command lacks that answers rows: those of eval_dataset, else of dataset. */
export function neededRows({ dataset, eval_dataset }: FettleConfig): readonly 'eval_dataset'[] {
  return dataset.length + eval_dataset.length > 0 ? [] : ['eval_dataset'];
}

/** Puts folders of this machine in place of the names of models. */
export type BringModels = (loaded: LoadedConfig, hub: HubOptions) => Promise<FettleConfig>;

/**
 * Loads the configuration that a command was given and its plugins, prints its notices, and downloads models that are named on a hub.
 * @param models commands that need no weights download none, and some bring models in a way of their own.
 * @throws ConfigError; FileError where a named model cannot be had.
 */
export async function openCommandConfig(
  context: CommandContext,
  requires: RequiredKeys,
  models: ModelPart | BringModels = 'all',
): Promise<LoadedConfig> {
  const loaded = loadCommandConfig(context, requires);
  await loadPlugins(loaded.config.plugins);
  const progress = downloadProgress(context);
  const bring: BringModels =
    typeof models === 'function' ? models : ({ config: written }, hub) => withLocalModels(written, hub, models);
  const config = await withInputProblems(loaded.config, () => bring(loaded, progress)).finally(progress.end);
  return { ...loaded, config };
}

/** What a hub is asked with: the environment, and a line that shows what has arrived. */
export function downloadProgress({ env, err }: CommandContext): {
  env: CommandContext['env'];
  onProgress: (path: string, bytes: number, totalBytes: number) => void;
  end: () => void;
} {
  const live = new ProgressLine(err);
  const arrived = new Map<string, { bytes: number; totalBytes: number }>();
  const startMs = performance.now();
  let atStart = -1;
  return {
    env,
    onProgress(path, bytes, totalBytes) {
      if (!arrived.has(path)) err.line(err.style('dim', downloadTexts.begins(path, totalBytes)));
      arrived.set(path, { bytes, totalBytes });
      const sum = (key: 'bytes' | 'totalBytes'): number => [...arrived.values()].reduce((n, file) => n + file[key], 0);
      if (atStart < 0) atStart = sum('bytes');
      const perSecond = ((sum('bytes') - atStart) / (performance.now() - startMs)) * 1000;
      live.show(
        sum('bytes') / Math.max(1, sum('totalBytes')),
        downloadTexts.progress(sum('bytes'), sum('totalBytes'), perSecond),
      );
    },
    end: () => live.clear(),
  };
}
