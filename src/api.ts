/**
 * The typed API: the commands as functions. Options are the keys of the YAML files in camelCase, checked in the same way;
 * `train({ modelNameOrPath, dataset, outputDir })` is `fettle train`.
 */
import {
  type ConfigKey,
  configFromOptions,
  type FettleConfig,
  type FettleOptions,
  type LoadedConfig,
  loadConfig,
} from './config/index.ts';
import { type DataPlan, openTextTools, prepareTrainingData, withModelLength } from './data/index.ts';
import {
  type PkOptions,
  pkNeeds,
  type PkRun,
  runPk,
  compare as compareFromConfig,
  type CompareEnd,
  type CompareEvent,
  type AskEvent,
  predict as predictFromConfig,
  type PredictEnd,
  runTask,
  type TaskProgress,
  type TaskResult,
} from './eval/index.ts';
import { exportModel as exportMerged, type ExportResult } from './export/index.ts';
import { openGenerator as openFromConfig, type Generator } from './generate/index.ts';
import { type ModelPart, withLocalModels, withOutline } from './hub/index.ts';
import { loadPlugins } from './plugins/index.ts';
import { planTraining as planFromConfig, train as start, type TrainingPlan, type TrainRun } from './train/index.ts';

/** Options, or a configuration that `defineConfig` or `readConfig` gave. */
export type ConfigLike = FettleOptions | LoadedConfig;

function isLoaded(config: ConfigLike): config is LoadedConfig {
  return 'provenance' in config && 'given' in config;
}

function loaded(config: ConfigLike): LoadedConfig {
  return isLoaded(config) ? config : configFromOptions(config);
}

/** Loads what a configuration names: its plugins, and models from a hub. */
async function ready(config: FettleConfig, part?: ModelPart): Promise<FettleConfig> {
  await loadPlugins(config.plugins);
  return withLocalModels(config, {}, part);
}

/**
 * Checks options and fills in the defaults.
 * @throws ConfigError with all that is wrong.
 */
export function defineConfig(options: FettleOptions): LoadedConfig {
  return configFromOptions(options);
}

/**
 * Reads a YAML or JSON file as the command line does.
 * @throws ConfigError with all that is wrong, each with its line.
 */
export function readConfig(file: string, overrides: readonly string[] = []): LoadedConfig {
  return loadConfig({ file, overrides });
}

/**
 * Trains in a process of its own, which ends with this one.
 * @returns events as they come, `done`, and `stop()`, which saves; a later call on the same folder goes on from there.
 */
export function train(config: ConfigLike): TrainRun {
  const { config: checked, given } = loaded(config);
  return start(checked, { given });
}

/** What a run will need of memory and time, and what fits; `timed` runs three steps and needs the weights here. */
export async function planTraining(
  config: ConfigLike,
  options: { readonly timed?: boolean } = {},
): Promise<TrainingPlan> {
  const { config: checked, given } = loaded(config);
  const isGiven = (key: keyof FettleConfig): boolean => given.some((name) => name === key);
  if (options.timed === true) return planFromConfig(await ready(checked), { ...options, isGiven });
  await loadPlugins(checked.plugins);
  const { config: outlined, remote } = await withOutline(checked);
  return planFromConfig(outlined, { ...options, isGiven, remote });
}

/** Rows, tokens and steps of a run, counted on the samples that training uses. */
export async function planData(config: ConfigLike): Promise<DataPlan> {
  const { config: written, given } = loaded(config);
  const local = await ready(written, 'without weights');
  const checked = await withModelLength(local, given.includes('cutoff_len'), []);
  const { encoder } = await openTextTools(checked);
  return (await prepareTrainingData(checked, encoder)).plan;
}

/** Opens a model, with its adapters and the template that they were trained with, to generate text. */
export async function openGenerator(config: ConfigLike): Promise<Generator> {
  return openFromConfig(await ready(loaded(config).config));
}

/** Merges adapters into their base model and writes it to `exportDir`. */
export async function exportModel(options: Parameters<typeof exportMerged>[0]): Promise<ExportResult> {
  return exportMerged(options);
}

/**
 * Lets systems compete on the same questions, as `fettle pk` does; a judge and systems may be functions. The same call goes
 * on where another one ended.
 * @throws ConfigError where `systems`, `outputDir` or what they need is missing.
 */
export async function pk(config: ConfigLike, options: PkOptions = {}): Promise<PkRun> {
  const needs = (checked: FettleConfig): readonly ConfigKey[] =>
    pkNeeds(checked).filter((key) => key !== 'judge' || options.judge === undefined);
  const { config: checked } = isLoaded(config) ? config : configFromOptions(config, { requires: needs, command: 'pk' });
  return runPk(await ready(checked), options);
}

/** How long work is followed and ended. */
export interface FollowOptions<E> {
  readonly onEvent?: (event: E) => void;
  /** Ends it; what was answered is kept, and the same call goes on. */
  readonly signal?: AbortSignal;
}

/** Answers the rows of a data set and compares with the right answers: `fettle predict`. */
export async function predict(config: ConfigLike, options: FollowOptions<AskEvent> = {}): Promise<PredictEnd> {
  return predictFromConfig(await ready(loaded(config).config), options);
}

/** Compares models on the same rows: `fettle compare`. */
export async function compare(config: ConfigLike, options: FollowOptions<CompareEvent> = {}): Promise<CompareEnd> {
  return compareFromConfig(await ready(loaded(config).config), options);
}

/** Runs a task such as MMLU: `fettle eval`. */
export async function evaluate(
  config: ConfigLike,
  options: { readonly onProgress?: TaskProgress } = {},
): Promise<TaskResult> {
  return runTask(await ready(loaded(config).config), options);
}
