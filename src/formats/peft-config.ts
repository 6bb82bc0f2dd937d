/**
 * adapter_config.json as PEFT (0.5 to 0.21) writes it, for LoRA. Keys that Fettle has no use for are kept and written back; an option
 * that would change the result and is not computed here is refused by name.
 */
import { join } from 'node:path';
import { FormatError, UnsupportedError } from '../errors.ts';
import { writeFileAtomically } from './atomic-file.ts';
import { readJsonObject } from './json-file.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-text.ts';

/** The config's file name in an adapter folder. */
export const adapterConfigName = 'adapter_config.json';

/** More than any adapter has; bounds what a hostile config makes us allocate. */
const maxRank = 1 << 16;
/** Patterns for single modules; PEFT's own use has at most one a module. */
const maxPatterns = 10_000;
const maxPatternLength = 200;

/** A LoRA adapter's settings. */
export interface PeftConfig {
  readonly rank: number;
  readonly alpha: number;
  readonly dropout: number;
  /** Short names (`q_proj`), or one pattern where PEFT was given a text. */
  readonly targetModules: readonly string[] | string;
  readonly modulesToSave: readonly string[];
  readonly useRslora: boolean;
  /** Base weights are [in, out] (GPT-2's Conv1D). */
  readonly fanInFanOut: boolean;
  readonly baseModel: string | null;
  /** Token ids whose rows are trained: by module name, or `null` as name where PEFT was given a plain list (the input embedding). */
  readonly trainableTokens: readonly { readonly module: string | null; readonly ids: readonly number[] }[];
  readonly rankPattern: ReadonlyMap<string, number>;
  readonly alphaPattern: ReadonlyMap<string, number>;
  /** All keys as they were read, or as they are to be written. */
  readonly raw: JsonObject;
}

const mergeFirst = 'Merge it into its base model with PEFT, and use the merged model';

/** Options that change the result, with the values under which they do not. */
const unsupported: readonly { key: string; allows: (value: JsonValue) => boolean; remedy: string }[] = [
  { key: 'bias', allows: (value) => value === 'none', remedy: mergeFirst },
  ...[
    'use_dora',
    'lora_bias',
    'use_qalora',
    'use_bdlora',
    'layer_replication',
    'target_parameters',
    'alora_invocation_tokens',
    'arrow_config',
    'kasa_config',
    'velora_config',
    'monteclora_config',
  ].map((key) => ({ key, allows: isEmptyValue, remedy: mergeFirst })),
  {
    key: 'init_lora_weights',
    // These change the base weights when PEFT loads the adapter.
    allows: (value) => typeof value !== 'string' || !/^(pissa|olora|corda|loftq|lora_ga)/.test(value),
    remedy: 'Convert it to plain LoRA with PEFT (save_pretrained with path_initial_model_for_weight_conversion)',
  },
  {
    key: 'task_type',
    allows: (value) => value === 'CAUSAL_LM',
    remedy: 'Fettle tunes causal language models',
  },
];

function isEmptyValue(value: JsonValue): boolean {
  if (value === null || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** Typed reading of one config object, with errors that name file and key. */
class ConfigReader {
  readonly file: string;
  readonly values: JsonObject;
  constructor(file: string, values: JsonObject) {
    this.file = file;
    this.values = values;
  }

  /** A key's value; null where it is left out. */
  get(key: string): JsonValue {
    return Object.hasOwn(this.values, key) ? this.values[key]! : null;
  }

  refuse(key: string, requirement: string): FormatError<'json-value'> {
    const actual = JSON.stringify(this.get(key));
    return new FormatError('json-value', { file: this.file, key, requirement, actual });
  }

  number(key: string, low: number, high: number, otherwise?: number): number {
    const value = this.get(key);
    if (value === null && otherwise !== undefined) return otherwise;
    if (typeof value === 'number' && value >= low && value <= high) return value;
    throw this.refuse(key, `a number from ${low} to ${high}`);
  }

  flag(key: string): boolean {
    const value = this.get(key);
    if (value === null || typeof value === 'boolean') return value ?? false;
    throw this.refuse(key, 'true or false');
  }

  texts(key: string): string[] {
    const value = this.get(key);
    if (value === null) return [];
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
    throw this.refuse(key, 'a list of texts');
  }

  /** A map from module patterns to numbers (rank_pattern, alpha_pattern). */
  pattern(key: string, isAllowed: (value: number) => boolean): Map<string, number> {
    const value = this.get(key);
    const entries = value === null ? [] : isJsonObject(value) ? Object.entries(value) : undefined;
    const requirement = `an object of at most ${maxPatterns} module patterns without nested repetition and their numbers`;
    if (entries === undefined || entries.length > maxPatterns) throw this.refuse(key, requirement);
    const result = new Map<string, number>();
    for (const [pattern, number] of entries) {
      const isSafe =
        pattern.length <= maxPatternLength && !/\)[*+{]/.test(pattern) && patternRegExp(pattern) !== undefined;
      if (!isSafe || typeof number !== 'number' || !isAllowed(number)) throw this.refuse(key, requirement);
      result.set(pattern, number);
    }
    return result;
  }

  tokenIds(key: string, value: JsonValue): number[] {
    const isId = (id: JsonValue): id is number => typeof id === 'number' && Number.isSafeInteger(id) && id >= 0;
    if (Array.isArray(value) && value.every(isId) && new Set(value).size === value.length) return value;
    throw this.refuse(key, 'a list of different token ids, or an object from module names to such lists');
  }

  trainableTokens(): { module: string | null; ids: number[] }[] {
    const key = 'trainable_token_indices';
    const value = this.get(key);
    if (value === null) return [];
    if (!isJsonObject(value)) return [{ module: null, ids: this.tokenIds(key, value) }];
    return Object.entries(value).map(([module, ids]) => ({ module, ids: this.tokenIds(key, ids) }));
  }
}

/** PEFT's way of matching a pattern against a module path (`get_pattern_key`). */
function patternRegExp(pattern: string): RegExp | undefined {
  try {
    return new RegExp(`^(.*\\.)?(${pattern})$`);
  } catch {
    return undefined;
  }
}

function matching(patterns: ReadonlyMap<string, number>, module: string): number | undefined {
  for (const [pattern, value] of patterns) if (patternRegExp(pattern)?.test(module)) return value;
  return undefined;
}

/** The rank of one module's pair. */
export function rankOf(config: PeftConfig, module: string): number {
  return matching(config.rankPattern, module) ?? config.rank;
}

/** The factor on B·A of one module: alpha / rank, or alpha / sqrt(rank) with rsLoRA. */
export function scaleOf(config: PeftConfig, module: string): number {
  const alpha = matching(config.alphaPattern, module) ?? config.alpha;
  const rank = rankOf(config, module);
  return config.useRslora ? alpha / Math.sqrt(rank) : alpha / rank;
}

/**
 * Checks the content of an adapter_config.json.
 * @throws UnsupportedError `adapter-unsupported` naming the first option that Fettle does not compute; FormatError `json-value`.
 */
export function parsePeftConfig(values: JsonObject, file: string): PeftConfig {
  const reader = new ConfigReader(file, values);
  if (reader.get('peft_type') !== 'LORA') {
    const value = JSON.stringify(reader.get('peft_type'));
    throw new UnsupportedError('adapter-unsupported', { file, key: 'peft_type', value, remedy: `It can read "LORA"` });
  }
  for (const { key, allows, remedy } of unsupported) {
    const value = reader.get(key);
    if (value !== null && !allows(value)) {
      throw new UnsupportedError('adapter-unsupported', { file, key, value: JSON.stringify(value), remedy });
    }
  }
  const isRank = (value: number): boolean => Number.isInteger(value) && value >= 1 && value <= maxRank;
  const rank = reader.number('r', 1, maxRank);
  if (!isRank(rank)) throw reader.refuse('r', 'a whole number');
  const targets = reader.get('target_modules');
  const baseModel = reader.get('base_model_name_or_path');
  return {
    rank,
    alpha: reader.number('lora_alpha', -1e9, 1e9, 8),
    dropout: reader.number('lora_dropout', 0, 1, 0),
    targetModules: typeof targets === 'string' ? targets : reader.texts('target_modules'),
    modulesToSave: reader.texts('modules_to_save'),
    useRslora: reader.flag('use_rslora'),
    fanInFanOut: reader.flag('fan_in_fan_out'),
    baseModel: typeof baseModel === 'string' ? baseModel : null,
    trainableTokens: reader.trainableTokens(),
    rankPattern: reader.pattern('rank_pattern', isRank),
    alphaPattern: reader.pattern('alpha_pattern', Number.isFinite),
    raw: values,
  };
}

/**
 * Reads the adapter_config.json of an adapter folder.
 * @throws FileError `file-unreadable`; as `parsePeftConfig`.
 */
export async function readPeftConfig(folder: string): Promise<PeftConfig> {
  const file = join(folder, adapterConfigName);
  return parsePeftConfig(await readJsonObject(file), file);
}

/** What a new adapter's config is made from; the rest are PEFT's defaults. */
export interface NewPeftConfig {
  readonly rank: number;
  readonly alpha: number;
  readonly dropout: number;
  readonly targetModules: readonly string[];
  readonly baseModel: string;
  readonly modulesToSave?: readonly string[];
  readonly useRslora?: boolean;
  /** The adapted weights are stored [in, out] (GPT-2's Conv1D). */
  readonly fanInFanOut?: boolean;
  /** Module name (`embed_tokens`) -> token ids. */
  readonly trainableTokens?: Readonly<Record<string, readonly number[]>>;
}

/**
 * The config of an adapter that was made here. Only keys that PEFT has known for long are written, so that older versions load it;
 * `trainable_token_indices` (PEFT 0.15) only where it is used.
 */
export function newPeftConfig(settings: NewPeftConfig): PeftConfig {
  const { modulesToSave = [], trainableTokens = {} } = settings;
  const raw: JsonObject = {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: settings.baseModel,
    bias: 'none',
    fan_in_fan_out: settings.fanInFanOut ?? false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: settings.alpha,
    lora_dropout: settings.dropout,
    modules_to_save: modulesToSave.length > 0 ? [...modulesToSave] : null,
    peft_type: 'LORA',
    r: settings.rank,
    rank_pattern: {},
    revision: null,
    target_modules: [...settings.targetModules],
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: settings.useRslora ?? false,
  };
  if (Object.keys(trainableTokens).length > 0) {
    raw['trainable_token_indices'] = Object.fromEntries(
      Object.entries(trainableTokens).map(([module, ids]) => [module, [...ids]]),
    );
  }
  return parsePeftConfig(raw, adapterConfigName);
}

/** Writes adapter_config.json atomically, keys sorted and indented as PEFT does. */
export async function writePeftConfig(folder: string, config: PeftConfig): Promise<void> {
  const sorted = Object.entries(config.raw).sort(([a], [b]) => (a < b ? -1 : 1));
  await writeFileAtomically(join(folder, adapterConfigName), JSON.stringify(Object.fromEntries(sorted), null, 2));
}
