/** Gemma 1. Source: transformers modeling_gemma.py. */
import { ConfigReader } from './config-reader.ts';
import type { ModelReader } from './family.ts';
import { gemmaDecoder } from './gemma-decoder.ts';
import { readRope } from './rope-config.ts';

export const gemma: ModelReader = (file, json) => {
  const reader = new ConfigReader(file, json);
  const headDim = reader.size('head_dim', 256);
  const headCount = reader.size('num_attention_heads', 16);
  return gemmaDecoder(reader, headDim, {
    modelType: 'gemma',
    headCount,
    kvHeadCount: reader.size('num_key_value_heads', headCount),
    defaultPositions: 8192,
    outerNorms: false,
    headNorm: false,
    // a later field of the same meaning, as published files have both
    activationField: reader.json['hidden_activation'] ? 'hidden_activation' : 'hidden_act',
    queryScalar: undefined,
    scoreCap: undefined,
    logitCap: undefined,
    ropes: [readRope(reader, headDim, 10_000)],
    layers: Array.from({ length: reader.size('num_hidden_layers', 28) }, () => ({ window: undefined, rope: 0 })),
  });
};
