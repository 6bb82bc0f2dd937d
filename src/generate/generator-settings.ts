/** The settings of generation as a config has them, and what the engine makes of them. */
import type { QuantizationSettings } from '../checkpoint/index.ts';
import type { TextSettings } from '../data/index.ts';
import type { Device } from '../runtime/index.ts';
import type { BeamSettings } from './beams.ts';
import type { InferDtype } from './open-model.ts';
import { greedySampling, type SamplingSettings } from './sampling.ts';
import type { Suppression } from './suppressed-text.ts';

/** A text to be suppressed, under the names in the config. */
export interface SuppressSetting {
  readonly text: string;
  readonly coefficient: number;
  readonly scope: Suppression['scope'];
  readonly max_count?: number | undefined;
}

/** The texts of a config as the decoding takes them. */
export function suppressionsOf(settings: readonly SuppressSetting[]): Suppression[] {
  return settings.map(({ max_count: maxCount, ...rest }) => ({ ...rest, maxCount }));
}

/** The settings of generation, under their names in the config: a whole config fits. */
export interface GeneratorSettings extends TextSettings, QuantizationSettings {
  readonly do_sample: boolean;
  readonly temperature: number;
  readonly top_p: number;
  readonly top_k: number;
  readonly max_new_tokens: number;
  readonly repetition_penalty: number;
  readonly min_p?: number | undefined;
  readonly frequency_penalty?: number | undefined;
  readonly presence_penalty?: number | undefined;
  readonly no_repeat_ngram_size?: number | undefined;
  /** Token id to what is added to its logit. */
  readonly logit_bias?: Readonly<Record<string, number>> | undefined;
  readonly min_new_tokens?: number | undefined;
  /** Texts that end an answer, beside the template's. */
  readonly stop_strings?: readonly string[] | undefined;
  /** Ids that end an answer, beside the model's and the template's. */
  readonly eos_token_id?: readonly number[] | undefined;
  readonly num_beams?: number | undefined;
  readonly length_penalty?: number | undefined;
  readonly early_stopping?: boolean | 'never' | undefined;
  readonly num_return_sequences?: number | undefined;
  readonly skip_special_tokens: boolean;
  readonly suppress?: readonly SuppressSetting[] | undefined;
  readonly infer_dtype: InferDtype;
  readonly seed: number;
  readonly device: Device;
  readonly threads?: number | undefined;
}

/** How tokens are chosen. */
export function samplingOf(settings: GeneratorSettings): SamplingSettings {
  const { logit_bias: bias = {} } = settings;
  return {
    doSample: settings.do_sample,
    temperature: settings.temperature,
    topK: settings.top_k,
    topP: settings.top_p,
    minP: settings.min_p ?? greedySampling.minP,
    repetitionPenalty: settings.repetition_penalty,
    frequencyPenalty: settings.frequency_penalty ?? greedySampling.frequencyPenalty,
    presencePenalty: settings.presence_penalty ?? greedySampling.presencePenalty,
    noRepeatNgramSize: settings.no_repeat_ngram_size ?? greedySampling.noRepeatNgramSize,
    tokenBias: new Map(Object.entries(bias).map(([id, value]) => [Number(id), value])),
    minNewTokens: settings.min_new_tokens ?? greedySampling.minNewTokens,
    seed: settings.seed,
  };
}

/** Beam search, where there is more than one beam. */
export function beamsOf(settings: GeneratorSettings): BeamSettings | undefined {
  const { num_beams: beams = 1, length_penalty: lengthPenalty = 1, early_stopping: earlyStopping = false } = settings;
  return beams === 1 ? undefined : { beams, lengthPenalty, earlyStopping };
}
