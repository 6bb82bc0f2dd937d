/**
 * The decoder that llama, mistral, qwen2, qwen3 and their families with routed experts share: pre-norm blocks of
 * grouped-query attention with rotary positions and a gated SiLU MLP. Each family's file says which of its parts are there.
 */
import * as g from '../graph/index.ts';
import { type RopeConfig, turn } from '../nn/index.ts';
import { addExperts, applyExperts, type ExpertsConfig } from './expert-mlp.ts';
import type { AttentionSource, Model, ParameterSource } from './family.ts';
import { ParameterList } from './parameter-list.ts';

export interface DecoderConfig {
  readonly modelType: string;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly headDim: number;
  readonly maxPositions: number;
  readonly normEpsilon: number;
  readonly rope: RopeConfig;
  readonly tiesEmbeddings: boolean;
  /** Biases of q, k and v. */
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** RMS norm of each query and key head (qwen3). */
  readonly headNorm: boolean;
  /** Sliding window of each layer; undefined: full attention. */
  readonly windows: readonly (number | undefined)[];
  /** Routed experts in place of the MLP of some layers. */
  readonly experts?: ExpertsConfig | undefined;
}

const embedding = 'model.embed_tokens';
const output = 'lm_head';

/** The model of a decoder config. */
export function decoder(config: DecoderConfig): Model {
  const { hiddenSize: d, headCount, kvHeadCount, headDim, intermediateSize: f } = config;
  const list = new ParameterList();
  list.add(`${embedding}.weight`, [config.vocabularySize, d]);
  const expertsOf = (layer: number): ExpertsConfig | undefined =>
    config.experts?.inLayer(layer) ? config.experts : undefined;
  for (let i = 0; i < config.layerCount; i++) {
    const layer = `model.layers.${i}`;
    const linear = (name: string, inputs: number, outputs: number, bias: boolean): void =>
      list.linear(`${layer}.${name}`, inputs, outputs, { bias });
    linear('self_attn.q_proj', d, headCount * headDim, config.qkvBias);
    linear('self_attn.k_proj', d, kvHeadCount * headDim, config.qkvBias);
    linear('self_attn.v_proj', d, kvHeadCount * headDim, config.qkvBias);
    linear('self_attn.o_proj', headCount * headDim, d, config.outputBias);
    const experts = expertsOf(i);
    if (experts) addExperts(list, layer, d, experts);
    else {
      linear('mlp.gate_proj', d, f, config.mlpBias);
      linear('mlp.up_proj', d, f, config.mlpBias);
      linear('mlp.down_proj', f, d, config.mlpBias);
    }
    if (config.headNorm) {
      list.add(`${layer}.self_attn.q_norm.weight`, [headDim]);
      list.add(`${layer}.self_attn.k_norm.weight`, [headDim]);
    }
    list.add(`${layer}.input_layernorm.weight`, [d]);
    list.add(`${layer}.post_attention_layernorm.weight`, [d]);
  }
  list.add('model.norm.weight', [d]);
  list.output(output, d, config.vocabularySize, config.tiesEmbeddings);

  const norm = (source: ParameterSource, name: string, x: g.Node): g.Node =>
    g.rmsNorm(x, source.parameter(`${name}.weight`), config.normEpsilon);

  const selfAttention = (source: ParameterSource, positions: AttentionSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.self_attn`;
    const heads = (part: 'q' | 'k' | 'v', count: number): g.Node =>
      g.reshape(source.linear(`${name}.${part}_proj`, x, config.qkvBias), ['N', count, headDim]);
    const normed = (part: 'q' | 'k', count: number): g.Node =>
      config.headNorm ? norm(source, `${name}.${part}_norm`, heads(part, count)) : heads(part, count);
    const q = turn(normed('q', headCount), positions.rotations[0]!);
    const k = turn(normed('k', kvHeadCount), positions.rotations[0]!);
    const mixed = positions.attend(index, q, k, heads('v', kvHeadCount), {
      scale: 1 / Math.sqrt(headDim),
      window: config.windows[index],
    });
    return source.linear(`${name}.o_proj`, mixed, config.outputBias);
  };

  const mlp = (source: ParameterSource, index: number, x: g.Node): g.Node => {
    const experts = expertsOf(index);
    if (experts) return applyExperts(source, `model.layers.${index}`, x, experts);
    const name = `model.layers.${index}.mlp`;
    const gate = g.silu(source.linear(`${name}.gate_proj`, x, config.mlpBias));
    const up = source.linear(`${name}.up_proj`, x, config.mlpBias);
    return source.linear(`${name}.down_proj`, g.mul(gate, up), config.mlpBias);
  };

  return {
    modelType: config.modelType,
    vocabularySize: config.vocabularySize,
    hiddenSize: d,
    layerCount: config.layerCount,
    headCount,
    kvHeadCount,
    headDim,
    maxPositions: config.maxPositions,
    ropes: [config.rope],
    tiesEmbeddings: config.tiesEmbeddings,
    expertsPerToken: config.experts?.perToken,
    inputEmbedding: embedding,
    outputModule: output,
    parameters: list.parameters,
    linearModules: list.linears,
    embed: (source, ids) => source.embedding(`${embedding}.weight`, ids),
    layer: (source, positions, index, x) => {
      const name = `model.layers.${index}`;
      const attended = g.add(x, selfAttention(source, positions, index, norm(source, `${name}.input_layernorm`, x)));
      return g.add(attended, mlp(source, index, norm(source, `${name}.post_attention_layernorm`, attended)));
    },
    logits: (source, x) =>
      source.outputLogits(
        output,
        norm(source, 'model.norm', x),
        config.tiesEmbeddings ? `${embedding}.weight` : undefined,
      ),
  };
}
