/** From a config to a training engine: base model, adapters, tuning method, memory plan. */
import { readFile } from 'node:fs/promises';
import { availableParallelism, freemem } from 'node:os';
import { join } from 'node:path';
import {
  fitAdapter,
  type FittedAdapter,
  type ModelFolder,
  type OnCodes,
  openModelFolder,
  quantizationOf,
  withVocabularyRows,
} from '../checkpoint/index.ts';
import type { FettleConfig } from '../config/index.ts';
import { ConfigError, UnsupportedError } from '../errors.ts';
import {
  isThere,
  newPeftConfig,
  readJsonObject,
  type RemoteFiles,
  tensorFromValues,
  writeCheckpoint,
  writeFileAtomically,
  writeJsonFile,
  writePeftAdapter,
} from '../formats/index.ts';
import { newTokenIds } from '../data/index.ts';
import { type Model, vocabularySizeKey } from '../models/index.ts';
import {
  frozenAdapterPrefix,
  fullMethod,
  isQuantized,
  loraMethod,
  type LoraModule,
  loraNames,
  loraScale,
  shortNames,
  targetModules,
  type TokenRowChoice,
  type TuningMethod,
  wholeModules,
} from '../tuning/index.ts';
import type { TrainEngine } from './engine.ts';
import { createGraphEngine } from './graph-engine.ts';
import { choosePlan } from './choose-plan.ts';
import { type BatchSize, type MemoryPlan, memoryOf } from './memory-plan.ts';
import { describeForm, type PlanForm } from './plan-form.ts';
import { type FitSettings, largestBatchThatFits, longestThatFits } from './what-fits.ts';

/** A base model with its tuning method, before anything is computed. */
export interface TuningSetup {
  readonly folder: ModelFolder;
  readonly method: TuningMethod;
  /** Values that what moves starts from, where they are not the method's own (a continued adapter). */
  readonly values: ReadonlyMap<string, Float32Array>;
  /** Matrices of adapters that lie below and do not move. */
  readonly fixed: ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Float32Array }>;
  /** The same in f32, where the run computes in integers: their error is measured against it. */
  readonly reference?: TuningSetup;
  /** Hears how much is done of weights that are quantised when the engine is made. */
  readonly onCodes?: OnCodes;
  /** Writes what was trained into a folder, as PEFT or Hugging Face have it. */
  readonly save: (folder: string, engine: TrainEngine) => Promise<void>;
}

/** The config of the step in f32 that integers are compared with: in segments, which need the least memory. */
export function referenceConfig(config: FettleConfig): FettleConfig {
  return { ...config, compute: 'float32', gradient_checkpointing: true };
}

/** The setting's key was written by the user, so that it must agree with an adapter that is continued. */
export type IsGiven = (key: keyof FettleConfig) => boolean;

/**
 * Opens the base model and builds the tuning method that the config asks for.
 * @param remote files of the base's weights that are not on this machine: enough for a plan, not for an engine.
 * @throws ConfigError for targets that the model does not have, or a setting that disagrees with the continued adapter;
 *   FormatError and UnsupportedError as opening the model and the adapters.
 */
export async function prepareTuning(
  config: FettleConfig,
  isGiven: IsGiven,
  remote?: RemoteFiles,
): Promise<TuningSetup> {
  const form = config.compute === 'float32' ? undefined : config.compute;
  const opened = await openModelFolder(baseModel(config), quantizationOf(config), form, remote);
  const { stored } = opened;
  const newIds = await newTokenIds(config, opened.model.vocabularySize);
  const fixed = new Map<string, { shape: readonly number[]; values: Float32Array }>();
  if (config.finetuning_type === 'full') {
    const folder = withVocabularyRows(opened, vocabularyWith(newIds));
    return {
      folder,
      method: fullMethod(folder.model, stored),
      values: new Map(),
      fixed,
      save: (target, engine) => saveFullModel(target, folder, engine),
    };
  }
  const adapters: FittedAdapter[] = [];
  for (const path of config.adapter_name_or_path) adapters.push(await fitAdapter(path, opened.model));
  const continued = config.create_new_adapter ? undefined : adapters.at(-1);
  if (continued && newIds.some((id) => !hasRow(continued, opened.model, id))) {
    throw new ConfigError('new-tokens-on-adapter', { folder: continued.folder });
  }
  const folder = withVocabularyRows(opened, Math.max(continued?.vocabularySize ?? 0, vocabularyWith(newIds)));
  const { model } = folder;
  const below = continued ? adapters.slice(0, -1) : adapters;
  below.forEach((adapter, i) => addFixed(fixed, adapter, i));
  if (continued) requireAgreement(config, isGiven, continued, targetNames(config, folder));
  const modules = continued ? continued.modules : newModules(config, folder);
  const method = loraMethod(model, stored, {
    dropout: config.lora_dropout,
    modules,
    savedModules: continued?.savedModules ?? savedModules(config, model, newIds),
    tokenRows: continued?.tokenRows ?? chosenRows(config, model, newIds),
    below: below.map((adapter) => adapter.modules),
  });
  return {
    folder,
    method,
    values: continued?.values ?? new Map(),
    fixed,
    save: (target, engine) => saveAdapter(target, config, folder, engine, continued, newIds),
    ...(form ? { reference: await prepareTuning(referenceConfig(config), isGiven, remote) } : {}),
  };
}

function baseModel(config: FettleConfig): string {
  if (config.model_name_or_path === undefined) throw new ConfigError('model-needed', {});
  return config.model_name_or_path;
}

function newModules(config: FettleConfig, { model }: ModelFolder): LoraModule[] {
  const scale = loraScale(config.lora_rank, config.lora_alpha, config.use_rslora);
  return targetNames(config, { model }).map((module) => ({ ...module, rank: config.lora_rank, scale }));
}

function targetNames(config: FettleConfig, { model }: Pick<ModelFolder, 'model'>): ReturnType<typeof targetModules> {
  return targetModules(model, config.lora_target === 'all' ? ['all'] : config.lora_target);
}

/** Whether an adapter brings the row of a token that was added. */
function hasRow({ tokenRows, savedModules, vocabularySize }: FittedAdapter, model: Model, id: number): boolean {
  return tokenRows.embedding.includes(id) || (savedModules.includes(model.inputEmbedding) && id < vocabularySize);
}

/** One more than the largest of the ids; 0 where there are none. */
function vocabularyWith(ids: readonly number[]): number {
  return ids.reduce((most, id) => Math.max(most, id + 1), 0);
}

/** Rows that move alone: those that the config names, and those of tokens that it adds, which the head needs too. */
function chosenRows(config: FettleConfig, model: Model, newIds: readonly number[]): TokenRowChoice {
  const ids = [...new Set([...config.trainable_token_indices, ...newIds])].sort((a, b) => a - b);
  const outside = ids.find((id) => id >= model.vocabularySize);
  if (outside !== undefined) {
    throw new ConfigError('token-id-outside', { id: outside, vocabularySize: model.vocabularySize });
  }
  return { embedding: ids, output: model.tiesEmbeddings ? [] : newIds, newIds };
}

/** Modules that move as a whole. Of embedding and output one alone would leave the other without the new rows. */
function savedModules(config: FettleConfig, model: Model, newIds: readonly number[]): string[] {
  const modules = wholeModules(model, config.additional_target);
  const tables = [model.inputEmbedding, model.outputModule];
  const saved = tables.filter((name) => modules.includes(name));
  if (newIds.length > 0 && saved.length === 1) {
    const missing = tables.find((name) => name !== saved[0])!;
    throw new ConfigError('new-tokens-need-both', { given: saved[0]!, missing });
  }
  return [...modules, ...tablesBesideBias(config, model, newIds)];
}

/**
 * Embedding and output layer where tokens are added to a model whose output layer has a bias: they move as a whole, since PEFT 0.21 leaves that bias
 * out where only rows of the layer move (its TrainableTokensLayer).
 */
function tablesBesideBias(config: FettleConfig, model: Model, newIds: readonly number[]): string[] {
  const hasBias = model.parameters.some(({ name }) => name === `${model.outputModule}.bias`);
  const tables = [model.inputEmbedding, model.outputModule];
  const asked = wholeModules(model, config.additional_target);
  return newIds.length > 0 && hasBias ? tables.filter((name) => !asked.includes(name)) : [];
}

/** The last part of a module's name, by which PEFT knows it. */
const shortName = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

function addFixed(
  fixed: Map<string, { shape: readonly number[]; values: Float32Array }>,
  adapter: FittedAdapter,
  index: number,
): void {
  const { savedModules: saved, tokenRows } = adapter;
  if (saved.length + tokenRows.embedding.length + tokenRows.output.length > 0) {
    throw new UnsupportedError('adapter-below', { folder: adapter.folder });
  }
  for (const { name, rank, inputs, outputs } of adapter.modules) {
    const names = loraNames(name);
    const prefix = frozenAdapterPrefix(index);
    fixed.set(prefix + names.a, { shape: [rank, inputs], values: adapter.values.get(names.a)! });
    fixed.set(prefix + names.b, { shape: [outputs, rank], values: adapter.values.get(names.b)! });
  }
}

/** A continued adapter keeps its own settings; what the user wrote must be the same. */
function requireAgreement(
  config: FettleConfig,
  isGiven: IsGiven,
  adapter: FittedAdapter,
  targets: readonly { readonly name: string }[],
): void {
  const { rank, alpha, useRslora } = adapter.config;
  const differences: [key: keyof FettleConfig, own: string, given: string][] = [
    ['lora_rank', String(rank), String(config.lora_rank)],
    ['lora_alpha', String(alpha), String(config.lora_alpha)],
    ['use_rslora', String(useRslora), String(config.use_rslora)],
    ['lora_target', shortNames(adapter.modules).sort().join(','), shortNames(targets).sort().join(',')],
  ];
  for (const [key, own, given] of differences) {
    if (isGiven(key) && own !== given) {
      throw new ConfigError('adapter-disagrees', { key, given, own, folder: adapter.folder });
    }
  }
}

/** An engine with what is known about its memory. */
export interface CreatedEngine {
  readonly engine: TrainEngine;
  readonly memory: MemoryPlan;
  readonly threads: number;
}

/** Memory that a run may use: the config's limit, else what the machine has free. */
export function memoryLimit(config: FettleConfig): number {
  return config.memory_limit ?? freemem();
}

/** Threads of the arithmetic: the config's, else one per core. */
export function threadCount(config: FettleConfig): number {
  return config.threads ?? availableParallelism();
}

/** Bytes that the optimiser keeps for each value that moves. */
export function optimizerBytes(config: FettleConfig): number {
  return config.optim.startsWith('sgd') ? 4 : 8;
}

/** The memory plan of a run, without starting anything. @param form the form of the step, where it is not free. */
export function planMemory(config: FettleConfig, setup: TuningSetup, batch: BatchSize, form?: PlanForm): MemoryPlan {
  const { method } = setup;
  const { model } = setup.folder;
  const bytes = optimizerBytes(config);
  const plan = form
    ? memoryOf(model, method, batch, bytes, form)
    : choosePlan(model, method, batch, bytes, memoryLimit(config), config.gradient_checkpointing);
  if (!setup.reference) return plan;
  const reference = planMemory(referenceConfig(config), setup.reference, batch);
  return { ...plan, peak: Math.max(plan.peak, reference.peak) };
}

/** What the search for rows and batches that fit goes by. @param trainedShare part of the tokens that is trained. */
export function fitSettings(
  config: FettleConfig,
  setup: TuningSetup,
  trainedShare: number,
  batch: BatchSize,
): FitSettings {
  return {
    model: setup.folder.model,
    method: setup.method,
    optimizerBytesPerValue: optimizerBytes(config),
    limit: memoryLimit(config),
    wanted: config.gradient_checkpointing,
    trainedShare,
    batch,
  };
}

/** What one row of a few tokens would need in the form that needs least: below this no setting helps. */
function smallestMemory(config: FettleConfig, setup: TuningSetup): number {
  const batch = { rows: 1, longest: 16, tokens: 16, labelled: 8 };
  return choosePlan(setup.folder.model, setup.method, batch, optimizerBytes(config), 0, undefined).peak;
}

/**
 * The memory plan of a run that fits.
 * @param form the form that a continued run keeps: another one may change the last bits of its result.
 * @throws ConfigError `memory-too-small` where it does not fit, with the settings that help; `resume-needs-memory` where the form
 *   is not free.
 */
export function fittingPlan(config: FettleConfig, setup: TuningSetup, batch: BatchSize, form?: PlanForm): MemoryPlan {
  const memory = planMemory(config, setup, batch, form);
  const limit = memoryLimit(config);
  if (form && memory.peak > limit) {
    throw new ConfigError('resume-needs-memory', {
      needed: memory.peak,
      limit,
      stated: config.memory_limit !== undefined,
      form: describeForm(form),
    });
  }
  if (memory.peak > limit) {
    const settings = fitSettings(config, setup, batch.labelled / Math.max(1, batch.tokens), batch);
    const [samples, length] = batch.packs ? [batch.packs.count, config.cutoff_len] : [batch.rows, batch.longest];
    throw new ConfigError('memory-too-small', {
      needed: memory.peak,
      limit,
      stated: config.memory_limit !== undefined,
      rows: batch.rows,
      longest: batch.longest,
      segmentsFit:
        config.gradient_checkpointing === false &&
        planMemory({ ...config, gradient_checkpointing: true }, setup, batch).peak <= limit,
      evaluationRows:
        batch.evaluation && planMemory(config, setup, { ...batch, evaluation: undefined }).peak <= limit
          ? config.per_device_eval_batch_size
          : undefined,
      largestBatch: largestBatchThatFits(settings, length, samples - 1),
      longestThatFits: longestThatFits(settings, samples, length - 1),
      smallest: smallestMemory(config, setup),
    });
  }
  return memory;
}

/**
 * Makes the engine.
 * @param batch the largest micro-batch that it will be given. @param form the form that a continued run keeps.
 * @throws ConfigError `memory-too-small`, `resume-needs-memory` where the plan does not fit.
 */
export async function createEngine(
  config: FettleConfig,
  setup: TuningSetup,
  batch: BatchSize,
  form?: PlanForm,
): Promise<CreatedEngine> {
  const memory = fittingPlan(config, setup, batch, form);
  const threads = threadCount(config);
  const engine = await createGraphEngine(setup.folder, setup.method, {
    device: config.device,
    threads,
    seed: config.seed,
    values: setup.values,
    fixed: setup.fixed,
    plan: memory.form,
    longest: batch.longest,
    evaluatedAtOnce: batch.evaluation?.tokens,
    meanTokens: batch.meanTokens ?? batch.tokens,
    onCodes: setup.onCodes,
  });
  return { engine, memory, threads };
}

async function saveAdapter(
  target: string,
  config: FettleConfig,
  { model }: ModelFolder,
  engine: TrainEngine,
  continued: FittedAdapter | undefined,
  newIds: readonly number[],
): Promise<void> {
  const hasExperts = targetNames(config, { model }).some(({ group }) => group !== undefined);
  const peft =
    continued?.config ??
    newPeftConfig({
      rank: config.lora_rank,
      alpha: config.lora_alpha,
      // PEFT refuses to load adapters of experts with another one
      dropout: hasExperts ? 0 : config.lora_dropout,
      targetModules: peftTargets(config, model),
      modulesToSave: [...config.additional_target, ...tablesBesideBias(config, model, newIds).map(shortName)],
      useRslora: config.use_rslora,
      fanInFanOut: targetNames(config, { model }).some(({ transposed }) => transposed),
      baseModel: config.base_model_name ?? baseModel(config),
      ...tokenSettings(config, model, newIds),
    });
  await writePeftAdapter(
    target,
    peft,
    engine.parameters.map(({ name, shape, data }) => ({ name, shape, values: data })),
  );
}

/** Short names where they mean just the chosen modules, else full ones. */
function peftTargets(config: FettleConfig, model: Model): string[] {
  const chosen = targetNames(config, { model });
  const short = shortNames(chosen);
  return targetModules(model, short).length === chosen.length ? short : chosen.map(({ name }) => name);
}

function tokenSettings(
  config: FettleConfig,
  model: Model,
  newIds: readonly number[],
): { trainableTokens?: Record<string, readonly number[]> } {
  const { embedding, output } = chosenRows(config, model, newIds);
  const whole = new Set(savedModules(config, model, newIds));
  const rows = (
    [
      [model.inputEmbedding, embedding],
      [model.outputModule, output],
    ] as const
  ).filter(([module, ids]) => ids.length > 0 && !whole.has(module));
  if (rows.length === 0) return {};
  return { trainableTokens: Object.fromEntries(rows.map(([module, ids]) => [shortName(module), ids])) };
}

async function saveFullModel(
  target: string,
  { folder, model, stored }: ModelFolder,
  engine: TrainEngine,
): Promise<void> {
  const dtypes = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const;
  await writeCheckpoint(
    target,
    engine.parameters.map(({ name, shape, data }) => {
      const weight = stored.get(name);
      return tensorFromValues(name, shape, data, weight && !isQuantized(weight) ? dtypes[weight.dtype] : 'F32');
    }),
  );
  await copyIfThere(join(folder, 'generation_config.json'), join(target, 'generation_config.json'));
  const configFile = join(folder, 'config.json');
  const json = await readJsonObject(configFile);
  const key = vocabularySizeKey(json);
  // Byte for byte, unless tokens were added.
  if (json[key] === model.vocabularySize) await copyIfThere(configFile, join(target, 'config.json'));
  else await writeJsonFile(join(target, 'config.json'), { ...json, [key]: model.vocabularySize });
}

async function copyIfThere(from: string, to: string): Promise<void> {
  // Its content, not its permissions: a copy of a read-only file could not be replaced by the next one.
  if (await isThere(from)) await writeFileAtomically(to, await readFile(from));
}
