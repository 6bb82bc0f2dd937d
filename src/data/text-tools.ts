/**
 * The tokenizer and the template of a model's folder, or of an adapter's, and the encoder made of them. Training, the data
 * commands, generate and chat all come by them here, so that what is trained is what is asked.
 */
import { join } from 'node:path';
import { ConfigError } from '../errors.ts';
import { loadTokenizerFolder, readJsonObject, writeFileAtomically } from '../formats/index.ts';
import {
  type ChatTemplate,
  loadSavedTemplate,
  loadTemplate,
  type LoadTemplateOptions,
  modelChatTemplate,
  type OwnTemplate,
  readOwnTemplate,
  type SegmentOptions,
  suggestTemplates,
} from '../template/index.ts';
import { addTokens, createTokenizer, type Tokenizer, type TokenizerWithTokens } from '../tokenizer/index.ts';
import { assembleEncoder, type EncoderPlan } from './encoder-plan.ts';
import type { MaskRecipe } from './mask-recipes.ts';
import type { RowEncoder } from './row-encoder.ts';

/** The file in which a template is saved beside an adapter or a model. */
export const savedTemplateName = 'fettle_template.json';

/** The settings that decide on tokens and template, under their names in the config: a whole config fits. */
export interface TextSettings {
  readonly model_name_or_path?: string | undefined;
  readonly adapter_name_or_path: readonly string[];
  /** The name of a built-in template, or an own one. */
  readonly template?: string | OwnTemplate | undefined;
  readonly default_system?: string | undefined;
  readonly enable_thinking?: boolean | undefined;
  readonly history_thinking: 'strip' | 'keep';
  readonly train_on_prompt: boolean;
  readonly mask_history: boolean;
  readonly stage: string;
  readonly cutoff_len: number;
  /** Tokens that are added to the tokenizer, and those among them that are special. */
  readonly add_tokens?: readonly string[];
  readonly add_special_tokens?: readonly string[];
  /** A published way of making ids and labels, instead of the template's. */
  readonly mask_recipe?: MaskRecipe | undefined;
}

/** Tokenizer, template and encoder of a run. */
export interface TextTools {
  readonly tokenizer: Tokenizer;
  /** Undefined for plain texts (`stage: pt`) where the model has none. */
  readonly template: ChatTemplate | undefined;
  /** The model's own template, where the config names another one. */
  readonly modelTemplate: ChatTemplate | undefined;
  readonly encoder: RowEncoder;
  /** The template, for conversations. @throws ConfigError `template-missing` with the nearest built-in names. */
  requireTemplate(): ChatTemplate;
  /** Writes tokenizer and template into a folder, so that they load again, here and in transformers. */
  save(folder: string): Promise<void>;
}

/** The files of the last folder that has a tokenizer: an adapter's own goes before its base's. */
async function tokenizerFiles(folders: readonly string[]): Promise<ReadonlyMap<string, Uint8Array>> {
  const [base, ...adapters] = folders;
  for (const folder of adapters.reverse()) {
    const files = await loadTokenizerFolder(folder).catch((error: unknown) => {
      // An adapter without a tokenizer takes its base's; one with a broken tokenizer is refused.
      if (isMissing(error)) return undefined;
      throw error;
    });
    if (files !== undefined) return files;
  }
  return loadTokenizerFolder(base!);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'tokenizer-missing';
}

/** The tokenizer's files with the tokens that the config adds, and the ids that are new by that. */
async function tokenizerFilesOf(settings: TextSettings): Promise<TokenizerWithTokens> {
  const files = await tokenizerFiles([settings.model_name_or_path ?? '', ...settings.adapter_name_or_path]);
  const { add_tokens: plain = [], add_special_tokens: special = [] } = settings;
  // In LLaMA-Factory's order.
  const tokens = [
    ...plain.map((content) => ({ content, special: false })),
    ...special.map((content) => ({ content, special: true })),
  ];
  return tokens.length === 0 ? { files, newIds: [] } : addTokens(files, tokens);
}

/**
 * The ids whose rows a model of `vocabularySize` rows must be given, ascending: those of tokens that the config adds, and
 * with `resize_vocab` all that the tokenizer has beyond them.
 */
export async function newTokenIds(
  settings: TextSettings & { readonly resize_vocab: boolean },
  vocabularySize: number,
): Promise<number[]> {
  const adds = (settings.add_tokens?.length ?? 0) + (settings.add_special_tokens?.length ?? 0) > 0;
  if (!adds && !settings.resize_vocab) return [];
  const { files, newIds } = await tokenizerFilesOf(settings);
  const { vocabularySize: known } = createTokenizer(files);
  // Rows have no gaps: what the tokenizer had beyond the model's rows before comes with what is added.
  const beyond = Array.from({ length: Math.max(0, known - vocabularySize) }, (_, i) => vocabularySize + i);
  return [...new Set([...newIds, ...beyond])].sort((a, b) => a - b);
}

/**
 * Opens tokenizer and template.
 * @param now what `strftime_now` of a template gives: the run's first start.
 * @throws FormatError `tokenizer-missing` and what a broken tokenizer is refused with; ConfigError `template-unknown`,
 * `template-missing`.
 */
export async function openTextTools(settings: TextSettings, now?: Date): Promise<TextTools> {
  const base = settings.model_name_or_path ?? '';
  const { files } = await tokenizerFilesOf(settings);
  const tokenizer = createTokenizer(files);
  const modelType = await modelTypeOf(base);
  const { template, modelTemplate } = openTemplate(settings, files, tokenizer, modelType, now);
  const missing = { where: base, nearest: template ? [] : suggestTemplates(base, modelType, tokenizer) };
  const options: SegmentOptions = {
    trainOnPrompt: settings.train_on_prompt,
    maskHistory: settings.mask_history,
    historyThinking: settings.history_thinking,
  };
  const { mask_recipe: recipe } = settings;
  const plan: EncoderPlan = {
    files: tokenizer.files,
    template: template?.content,
    options,
    recipe,
    cutoffLength: settings.cutoff_len,
    missing,
  };
  return {
    tokenizer,
    template,
    // A recipe makes ids without any template.
    modelTemplate: recipe === undefined ? modelTemplate : undefined,
    encoder: assembleEncoder(plan, tokenizer, template),
    requireTemplate: () => {
      if (template === undefined) throw new ConfigError('template-missing', missing);
      return template;
    },
    async save(folder) {
      for (const [name, bytes] of tokenizer.files) await writeFileAtomically(join(folder, name), bytes);
      if (template !== undefined) await writeFileAtomically(join(folder, savedTemplateName), template.content);
    },
  };
}

/** The `model_type` of a folder's config.json, where it has one. */
async function modelTypeOf(folder: string): Promise<string | undefined> {
  const config = await readJsonObject(join(folder, 'config.json')).catch(() => undefined);
  const type = config?.['model_type'];
  return typeof type === 'string' ? type : undefined;
}

function openTemplate(
  settings: TextSettings,
  files: ReadonlyMap<string, Uint8Array>,
  tokenizer: Tokenizer,
  modelType: string | undefined,
  now: Date | undefined,
): Pick<TextTools, 'template' | 'modelTemplate'> {
  const { template: named, enable_thinking: thinking } = settings;
  const alone = (template: ChatTemplate | undefined) => ({ template, modelTemplate: undefined });
  const own = {
    defaultSystem: settings.default_system,
    ...(thinking === undefined ? {} : { variables: { enable_thinking: thinking } }),
  };
  const savedFile = files.get(savedTemplateName);
  const saved =
    savedFile === undefined
      ? undefined
      : loadSavedTemplate(new TextDecoder().decode(savedFile), tokenizer, savedTemplateName, own);
  if (named === undefined && saved !== undefined) return alone(saved);
  const chatTemplate = modelChatTemplate(files);
  if (settings.stage === 'pt' && named === undefined && chatTemplate === undefined) return alone(undefined);
  const options: LoadTemplateOptions = {
    tokens: tokenizer,
    chatTemplate,
    where: settings.model_name_or_path,
    modelType,
    ...own,
    ...(now === undefined ? {} : { now }),
  };
  if (named === undefined) return alone(loadTemplate(options));
  const template =
    typeof named === 'string'
      ? loadTemplate({ ...options, name: named })
      : loadTemplate({ ...options, wording: readOwnTemplate(named) });
  // What was saved beside the weights is what they were trained with, whatever the tokenizer's files say.
  return { template, modelTemplate: saved ?? (chatTemplate === undefined ? undefined : loadTemplate(options)) };
}
