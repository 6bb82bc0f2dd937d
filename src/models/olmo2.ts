/** OLMo 2: norms after attention and MLP instead of before, queries and keys normalised whole. Source: transformers modeling_olmo2.py. */
import * as g from '../graph/index.ts';
import { turn } from '../nn/index.ts';
import { ConfigReader } from './config-reader.ts';
import { readDecoderConfig } from './decoder-config.ts';
import type { AttentionSource, ModelReader, ParameterSource } from './family.ts';
import { ParameterList } from './parameter-list.ts';

const embedding = 'model.embed_tokens';
const output = 'lm_head';

export const olmo2: ModelReader = (file, json) => {
  const bias = new ConfigReader(file, json).boolean('attention_bias', false);
  const config = readDecoderConfig(file, json, {
    modelType: 'olmo2',
    qkvBias: () => bias,
    defaultEpsilon: 1e-5,
  });
  const { hiddenSize, intermediateSize, layerCount, headCount, kvHeadCount, headDim, tiesEmbeddings } = config;
  const list = new ParameterList();
  list.add(`${embedding}.weight`, [config.vocabularySize, hiddenSize]);
  for (let i = 0; i < layerCount; i++) {
    const layer = `model.layers.${i}`;
    list.linear(`${layer}.self_attn.q_proj`, hiddenSize, headCount * headDim, { bias });
    list.linear(`${layer}.self_attn.k_proj`, hiddenSize, kvHeadCount * headDim, { bias });
    list.linear(`${layer}.self_attn.v_proj`, hiddenSize, kvHeadCount * headDim, { bias });
    list.linear(`${layer}.self_attn.o_proj`, headCount * headDim, hiddenSize, { bias });
    list.add(`${layer}.self_attn.q_norm.weight`, [headCount * headDim]);
    list.add(`${layer}.self_attn.k_norm.weight`, [kvHeadCount * headDim]);
    list.linear(`${layer}.mlp.gate_proj`, hiddenSize, intermediateSize, { bias: false });
    list.linear(`${layer}.mlp.up_proj`, hiddenSize, intermediateSize, { bias: false });
    list.linear(`${layer}.mlp.down_proj`, intermediateSize, hiddenSize, { bias: false });
    list.add(`${layer}.post_attention_layernorm.weight`, [hiddenSize]);
    list.add(`${layer}.post_feedforward_layernorm.weight`, [hiddenSize]);
  }
  list.add('model.norm.weight', [hiddenSize]);
  list.output(output, hiddenSize, config.vocabularySize, tiesEmbeddings);

  const norm = (source: ParameterSource, name: string, x: g.Node): g.Node =>
    g.rmsNorm(x, source.parameter(`${name}.weight`), config.normEpsilon);
  const attention = (source: ParameterSource, places: AttentionSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.self_attn`;
    const heads = (part: 'q' | 'k' | 'v', count: number): g.Node => {
      const whole = list.apply(source, `${name}.${part}_proj`, x);
      return g.reshape(part === 'v' ? whole : norm(source, `${name}.${part}_norm`, whole), ['N', count, headDim]);
    };
    const rotation = places.rotations[0]!;
    const q = turn(heads('q', headCount), rotation);
    const k = turn(heads('k', kvHeadCount), rotation);
    const mixed = places.attend(index, q, k, heads('v', kvHeadCount), { scale: 1 / Math.sqrt(headDim) });
    return list.apply(source, `${name}.o_proj`, mixed);
  };
  const mlp = (source: ParameterSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.mlp`;
    const gate = g.silu(list.apply(source, `${name}.gate_proj`, x));
    return list.apply(source, `${name}.down_proj`, g.mul(gate, list.apply(source, `${name}.up_proj`, x)));
  };

  return {
    modelType: 'olmo2',
    vocabularySize: config.vocabularySize,
    hiddenSize,
    layerCount,
    headCount,
    kvHeadCount,
    headDim,
    maxPositions: config.maxPositions,
    ropes: [config.rope],
    tiesEmbeddings,
    inputEmbedding: embedding,
    outputModule: output,
    parameters: list.parameters,
    linearModules: list.linears,
    embed: (source, ids) => source.embedding(`${embedding}.weight`, ids),
    layer: (source, places, index, x) => {
      const name = `model.layers.${index}`;
      const mixed = attention(source, places, index, x);
      const attended = g.add(x, norm(source, `${name}.post_attention_layernorm`, mixed));
      return g.add(attended, norm(source, `${name}.post_feedforward_layernorm`, mlp(source, index, attended)));
    },
    logits: (source, x) =>
      source.outputLogits(output, norm(source, 'model.norm', x), tiesEmbeddings ? `${embedding}.weight` : undefined),
  };
};
