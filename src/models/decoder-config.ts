/** The fields of `config.json` that Llama and the families near it share. */
import { ConfigReader } from './config-reader.ts';
import type { DecoderConfig } from './decoder.ts';
import type { ExpertsConfig } from './expert-mlp.ts';
import { type PartialRope, readRope } from './rope-config.ts';

/** What differs between the families. */
export interface DecoderVariant {
  readonly modelType: string;
  readonly defaultTheta?: number;
  readonly defaultTies?: boolean;
  readonly defaultPositions?: number;
  readonly defaultEpsilon?: number;
  /** Where only a share of a head's elements turns. */
  readonly partialRope?: PartialRope;
  readonly qkvBias: (reader: ConfigReader) => boolean;
  readonly outputBias?: (reader: ConfigReader) => boolean;
  readonly mlpBias?: (reader: ConfigReader) => boolean;
  readonly headNorm?: boolean;
  readonly windows?: (reader: ConfigReader, layerCount: number) => readonly (number | undefined)[];
  readonly experts?: (reader: ConfigReader) => ExpertsConfig | undefined;
}

/** Reads and checks the config of one variant. */
export function readDecoderConfig(file: string, json: unknown, variant: DecoderVariant): DecoderConfig {
  const reader = new ConfigReader(file, json);
  const hiddenSize = reader.size('hidden_size');
  const headCount = reader.size('num_attention_heads');
  const kvHeadCount = reader.size('num_key_value_heads', headCount);
  const layerCount = reader.size('num_hidden_layers');
  const headDim = reader.size('head_dim', Math.floor(hiddenSize / headCount));
  const activation = reader.text('hidden_act', 'silu');
  if (activation !== 'silu' && activation !== 'swish') reader.unsupported('hidden_act', activation, 'silu');
  if (headCount % kvHeadCount !== 0) {
    reader.unsupported('num_key_value_heads', kvHeadCount, `a divisor of num_attention_heads (${headCount})`);
  }
  if (headDim % 2 !== 0) reader.unsupported('head_dim', headDim, 'an even number');
  return {
    modelType: variant.modelType,
    vocabularySize: reader.size('vocab_size'),
    hiddenSize,
    intermediateSize: reader.size('intermediate_size'),
    layerCount,
    headCount,
    kvHeadCount,
    headDim,
    maxPositions: reader.size('max_position_embeddings', variant.defaultPositions ?? 2048),
    normEpsilon: reader.positive('rms_norm_eps', variant.defaultEpsilon ?? 1e-6),
    rope: readRope(reader, headDim, variant.defaultTheta ?? 10_000, variant.partialRope),
    tiesEmbeddings: reader.boolean('tie_word_embeddings', variant.defaultTies ?? false),
    qkvBias: variant.qkvBias(reader),
    outputBias: variant.outputBias?.(reader) ?? false,
    mlpBias: variant.mlpBias?.(reader) ?? false,
    headNorm: variant.headNorm ?? false,
    windows: variant.windows?.(reader, layerCount) ?? Array.from({ length: layerCount }, () => undefined),
    experts: variant.experts?.(reader),
  };
}

/** Windows as Qwen2 and Qwen3 have them: `use_sliding_window`, from layer `max_window_layers` on, or `layer_types`. */
export function qwenWindows(reader: ConfigReader, layerCount: number): readonly (number | undefined)[] {
  if (!reader.boolean('use_sliding_window', false)) return Array.from({ length: layerCount }, () => undefined);
  const window = reader.size('sliding_window', 4096);
  const types = reader.texts('layer_types', layerCount);
  const first = reader.json['max_window_layers'] ?? 28;
  return Array.from({ length: layerCount }, (_, i) => {
    const slides = types ? types[i] === 'sliding_attention' : i >= Number(first);
    return slides ? window : undefined;
  });
}
