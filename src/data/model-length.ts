/**
 * How long a sequence may be for a model, as its config.json says, and `cutoff_len` in its light: left out, it is no longer
 * than that; longer than learned positions, it is refused. Read from the file itself, so that the data commands work for
 * models of any kind.
 */
import { join } from 'node:path';
import { ConfigError } from '../errors.ts';
import { isJsonObject, isThere, type JsonObject, readJsonObject } from '../formats/index.ts';
import { makeNotice, type Notice } from './notice.ts';

/** The longest sequence of a model. */
export interface ModelLength {
  readonly tokens: number;
  /** The key of config.json that says so. */
  readonly key: string;
  /** Positions are a table of so many rows: there is no position beyond. */
  readonly isTable: boolean;
}

/** Where configs say it. Article C's names first, then those of other families. */
const lengthKeys = [
  'n_positions',
  'max_position_embeddings',
  'seq_length',
  'max_sequence_length',
  'model_max_length',
  'max_seq_len',
] as const;

/** Families whose positions are rows of a learned table. */
const tableTypes: ReadonlySet<string> = new Set(['gpt2', 'gpt_bigcode', 'opt', 'xglm', 'biogpt', 'ctrl', 'openai-gpt']);
/** Kinds of scaling after which `max_position_embeddings` is the length that is reached. */
const reachedTypes: ReadonlySet<string> = new Set(['default', 'llama3', 'longrope', 'su']);

function numberAt(config: JsonObject, key: string): number | undefined {
  const value = Object.hasOwn(config, key) ? config[key] : undefined;
  return typeof value === 'number' && Number.isFinite(value) && value >= 1 ? value : undefined;
}

/** The longest sequence that a config.json allows for; undefined where it names none, or positions have no end (ALiBi). */
export function modelLength(config: JsonObject): ModelLength | undefined {
  const key = lengthKeys.find((name) => numberAt(config, name) !== undefined);
  if (key === undefined || config['alibi'] === true) return undefined;
  let tokens = numberAt(config, key)!;
  const scaling = [config['rope_scaling'], config['rope_parameters']].find(isJsonObject);
  if (scaling !== undefined) {
    const type = scaling['rope_type'] ?? scaling['type'];
    const factor = numberAt(scaling, 'factor') ?? 1;
    const original = numberAt(scaling, 'original_max_position_embeddings');
    if (original !== undefined) tokens = Math.max(tokens, original * factor);
    else if (typeof type === 'string' && !reachedTypes.has(type)) tokens *= factor;
  }
  const { model_type: type } = config;
  return { tokens: Math.floor(tokens), key, isTable: typeof type === 'string' && tableTypes.has(type) };
}

/** The settings that this room reads. */
export interface LengthOfModelSettings {
  readonly model_name_or_path?: string | undefined;
  readonly cutoff_len: number;
}

/**
 * The settings with a `cutoff_len` that the model can have: left out, it becomes the model's length where that is shorter.
 * @param isGiven whether somebody wrote `cutoff_len`.
 * @throws ConfigError `cutoff-beyond-model` where it is longer than a learned table of positions.
 */
export async function withModelLength<S extends LengthOfModelSettings>(
  settings: S,
  isGiven: boolean,
  notices: Notice[],
): Promise<S> {
  if (settings.model_name_or_path === undefined) return settings;
  const file = join(settings.model_name_or_path, 'config.json');
  const length = (await isThere(file)) ? modelLength(await readJsonObject(file)) : undefined;
  if (length === undefined || settings.cutoff_len <= length.tokens) return settings;
  const { tokens, key } = length;
  if (!isGiven) {
    notices.push(makeNotice('cutoff-of-model', { tokens, key, file }));
    return { ...settings, cutoff_len: tokens };
  }
  const fields = { cutoffLength: settings.cutoff_len, tokens, key, file };
  if (length.isTable) throw new ConfigError('cutoff-beyond-model', fields);
  notices.push(makeNotice('cutoff-beyond-training', fields));
  return settings;
}
