/**
 * Gemma 3, text only (`gemma3_text`): five layers with a sliding window and a rotation of their own to each with full
 * attention; query and key heads normalised. Source: transformers modeling_gemma3.py.
 */
import { ConfigReader } from './config-reader.ts';
import type { ModelReader } from './family.ts';
import { gemmaDecoder, readCap } from './gemma-decoder.ts';
import { readRope } from './rope-config.ts';

export const gemma3Text: ModelReader = (file, json) => {
  const reader = new ConfigReader(file, json);
  const headDim = reader.size('head_dim', 256);
  const layerCount = reader.size('num_hidden_layers', 26);
  const types = reader.texts('layer_types', layerCount);
  const period = reader.size('sliding_window_pattern', 6);
  const window = reader.size('sliding_window', 4096);
  const slides = (i: number): boolean => (types ? types[i] === 'sliding_attention' : (i + 1) % period !== 0);
  // transformers 5 writes both rotations into `rope_parameters`, older files into fields of their own
  const both = reader.object('rope_parameters');
  const full = both?.object('full_attention');
  const sliding = both?.object('sliding_attention');
  const localTheta = sliding?.positive('rope_theta', 10_000) ?? reader.positive('rope_local_base_freq', 10_000);
  const fullReader = full
    ? new ConfigReader(file, { ...reader.json, rope_parameters: full.json })
    : new ConfigReader(file, { ...reader.json, rope_parameters: null });
  return gemmaDecoder(reader, headDim, {
    modelType: 'gemma3_text',
    headCount: reader.size('num_attention_heads', 8),
    kvHeadCount: reader.size('num_key_value_heads', 4),
    defaultPositions: 131_072,
    outerNorms: true,
    headNorm: true,
    activationField: 'hidden_activation',
    queryScalar: reader.positive('query_pre_attn_scalar', 256),
    scoreCap: readCap(reader, 'attn_logit_softcapping', undefined),
    logitCap: readCap(reader, 'final_logit_softcapping', undefined),
    ropes: [
      readRope(fullReader, headDim, 1_000_000),
      { theta: localTheta, dimensions: headDim, scaling: { type: 'default' } },
    ],
    layers: Array.from({ length: layerCount }, (_, i) =>
      slides(i) ? { window, rope: 1 } : { window: undefined, rope: 0 },
    ),
  });
};
