/** Phi-1, 1.5 and 2: attention and MLP side by side on one normed input, biases everywhere. Source: transformers modeling_phi.py. */
import * as g from '../graph/index.ts';
import { turn } from '../nn/index.ts';
import { readActivation } from './activation.ts';
import { ConfigReader } from './config-reader.ts';
import type { AttentionSource, ModelReader, ParameterSource } from './family.ts';
import { layerNormOf, ParameterList } from './parameter-list.ts';
import { readRope } from './rope-config.ts';

const embedding = 'model.embed_tokens';
const output = 'lm_head';
const finalNorm = 'model.final_layernorm';

export const phi: ModelReader = (file, json) => {
  const reader = new ConfigReader(file, json);
  const vocabularySize = reader.size('vocab_size', 51_200);
  const hiddenSize = reader.size('hidden_size', 2048);
  const intermediateSize = reader.size('intermediate_size', 4 * hiddenSize);
  const layerCount = reader.size('num_hidden_layers', 24);
  const headCount = reader.size('num_attention_heads', 32);
  const kvHeadCount = reader.size('num_key_value_heads', headCount);
  const headDim = hiddenSize / headCount;
  if (!Number.isInteger(headDim)) reader.unsupported('num_attention_heads', headCount, 'a divisor of hidden_size');
  if (headCount % kvHeadCount !== 0) {
    reader.unsupported('num_key_value_heads', kvHeadCount, `a divisor of num_attention_heads (${headCount})`);
  }
  const epsilon = reader.positive('layer_norm_eps', 1e-5);
  const headNorm = reader.boolean('qk_layernorm', false);
  const tiesEmbeddings = reader.boolean('tie_word_embeddings', false);
  const activation = readActivation(reader, 'hidden_act', 'gelu_new');

  const list = new ParameterList();
  const form = { bias: true };
  list.add(`${embedding}.weight`, [vocabularySize, hiddenSize]);
  for (let i = 0; i < layerCount; i++) {
    const layer = `model.layers.${i}`;
    list.linear(`${layer}.self_attn.q_proj`, hiddenSize, headCount * headDim, form);
    list.linear(`${layer}.self_attn.k_proj`, hiddenSize, kvHeadCount * headDim, form);
    list.linear(`${layer}.self_attn.v_proj`, hiddenSize, kvHeadCount * headDim, form);
    list.linear(`${layer}.self_attn.dense`, headCount * headDim, hiddenSize, form);
    if (headNorm) {
      list.layerNorm(`${layer}.self_attn.q_layernorm`, headDim);
      list.layerNorm(`${layer}.self_attn.k_layernorm`, headDim);
    }
    list.linear(`${layer}.mlp.fc1`, hiddenSize, intermediateSize, form);
    list.linear(`${layer}.mlp.fc2`, intermediateSize, hiddenSize, form);
    list.layerNorm(`${layer}.input_layernorm`, hiddenSize);
  }
  list.layerNorm(finalNorm, hiddenSize);
  list.output(output, hiddenSize, vocabularySize, tiesEmbeddings);
  list.add(`${output}.bias`, [vocabularySize]);

  const attention = (source: ParameterSource, places: AttentionSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.self_attn`;
    const heads = (part: 'q' | 'k' | 'v', count: number): g.Node => {
      const split = g.reshape(list.apply(source, `${name}.${part}_proj`, x), ['N', count, headDim]);
      return headNorm && part !== 'v' ? layerNormOf(source, `${name}.${part}_layernorm`, split, epsilon) : split;
    };
    const rotation = places.rotations[0]!;
    const q = turn(heads('q', headCount), rotation);
    const k = turn(heads('k', kvHeadCount), rotation);
    const mixed = places.attend(index, q, k, heads('v', kvHeadCount), { scale: 1 / Math.sqrt(headDim) });
    return list.apply(source, `${name}.dense`, mixed);
  };
  const mlp = (source: ParameterSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.mlp`;
    return list.apply(source, `${name}.fc2`, activation(list.apply(source, `${name}.fc1`, x)));
  };

  return {
    modelType: 'phi',
    vocabularySize,
    hiddenSize,
    layerCount,
    headCount,
    kvHeadCount,
    headDim,
    maxPositions: reader.size('max_position_embeddings', 2048),
    ropes: [readRope(reader, headDim, 10_000, { defaultShare: 0.5 })],
    tiesEmbeddings,
    inputEmbedding: embedding,
    outputModule: output,
    parameters: list.parameters,
    linearModules: list.linears,
    embed: (source, ids) => source.embedding(`${embedding}.weight`, ids),
    layer: (source, places, index, x) => {
      const normed = layerNormOf(source, `model.layers.${index}.input_layernorm`, x, epsilon);
      return g.add(x, g.add(attention(source, places, index, normed), mlp(source, index, normed)));
    },
    logits: (source, x) => {
      const normed = layerNormOf(source, finalNorm, x, epsilon);
      const logits = source.outputLogits(output, normed, tiesEmbeddings ? `${embedding}.weight` : undefined);
      return g.add(logits, source.parameter(`${output}.bias`));
    },
  };
};
