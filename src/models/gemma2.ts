/** Gemma 2: capped scores and logits, every other layer with a sliding window. Source: transformers modeling_gemma2.py. */
import { ConfigReader } from './config-reader.ts';
import type { ModelReader } from './family.ts';
import { gemmaDecoder, readCap } from './gemma-decoder.ts';
import { readRope } from './rope-config.ts';

export const gemma2: ModelReader = (file, json) => {
  const reader = new ConfigReader(file, json);
  const headDim = reader.size('head_dim', 256);
  const layerCount = reader.size('num_hidden_layers', 26);
  const types = reader.texts('layer_types', layerCount);
  const window = reader.size('sliding_window', 4096);
  const slides = (i: number): boolean => (types ? types[i] === 'sliding_attention' : i % 2 === 0);
  return gemmaDecoder(reader, headDim, {
    modelType: 'gemma2',
    headCount: reader.size('num_attention_heads', 8),
    kvHeadCount: reader.size('num_key_value_heads', 4),
    defaultPositions: 8192,
    outerNorms: true,
    headNorm: false,
    activationField: 'hidden_activation',
    queryScalar: reader.positive('query_pre_attn_scalar', 256),
    scoreCap: readCap(reader, 'attn_logit_softcapping', 50),
    logitCap: readCap(reader, 'final_logit_softcapping', 30),
    ropes: [readRope(reader, headDim, 10_000)],
    layers: Array.from({ length: layerCount }, (_, i) => ({ window: slides(i) ? window : undefined, rope: 0 })),
  });
};
