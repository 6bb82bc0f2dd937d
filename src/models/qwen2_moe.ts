/**
 * Qwen 1.5 and 2 with routed experts and one that every token goes through. Source: transformers modeling_qwen2_moe.py.
 */
import type { ConfigReader } from './config-reader.ts';
import { qwenWindows, readDecoderConfig } from './decoder-config.ts';
import { decoder } from './decoder.ts';
import { type ExpertsConfig, qwenExpertLayers, readPerToken, refuseBalancingLoss } from './expert-mlp.ts';
import type { ModelReader } from './family.ts';

/** The experts of Qwen's configs; undefined where `num_experts` is 0. */
export function qwenExperts(
  reader: ConfigReader,
  defaults: { readonly count: number; readonly perToken: number; readonly size: number },
  sharedSize?: number,
): ExpertsConfig | undefined {
  refuseBalancingLoss(reader);
  const field = reader.json['num_experts'] === undefined ? 'num_local_experts' : 'num_experts';
  if (reader.json[field] === 0) return undefined;
  const count = reader.size(field, defaults.count);
  return {
    block: 'mlp',
    names: { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
    count,
    perToken: readPerToken(reader, count, defaults.perToken),
    intermediateSize: reader.size('moe_intermediate_size', defaults.size),
    normalizes: reader.boolean('norm_topk_prob', false),
    sharedSize,
    inLayer: qwenExpertLayers(reader),
  };
}

export const qwen2Moe: ModelReader = (file, json) =>
  decoder(
    readDecoderConfig(file, json, {
      modelType: 'qwen2_moe',
      defaultPositions: 32_768,
      qkvBias: (reader) => reader.boolean('qkv_bias', true),
      // without `layer_types`, every other one of the first `max_window_layers` slides, as transformers has it
      windows: (reader, layerCount) => {
        if (reader.json['layer_types'] !== undefined) return qwenWindows(reader, layerCount);
        const slides = reader.boolean('use_sliding_window', false);
        const window = slides ? reader.size('sliding_window', 4096) : undefined;
        const last = Number(reader.json['max_window_layers'] ?? 28);
        return Array.from({ length: layerCount }, (_, i) => (i % 2 === 0 && i < last ? window : undefined));
      },
      experts: (reader) =>
        qwenExperts(
          reader,
          { count: 60, perToken: 4, size: 1408 },
          reader.size('shared_expert_intermediate_size', 5632),
        ),
    }),
  );
