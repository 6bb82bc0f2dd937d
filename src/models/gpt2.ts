/**
 * GPT-2: learned positions, packed queries, keys and values, weights stored [in, out] (Conv1D). Source: transformers
 * modeling_gpt2.py.
 */
import * as g from '../graph/index.ts';
import { readActivation } from './activation.ts';
import { ConfigReader } from './config-reader.ts';
import type { AttentionSource, ModelReader, ParameterSource } from './family.ts';
import { layerNormOf, ParameterList } from './parameter-list.ts';

const embedding = 'transformer.wte';
const places = 'transformer.wpe.weight';
const output = 'lm_head';
const finalNorm = 'transformer.ln_f';

export const gpt2: ModelReader = (file, json) => {
  const reader = new ConfigReader(file, json);
  const vocabularySize = reader.size('vocab_size', 50_257);
  const hiddenSize = reader.size('n_embd', 768);
  const innerSize = reader.size('n_inner', 4 * hiddenSize);
  const layerCount = reader.size('n_layer', 12);
  const headCount = reader.size('n_head', 12);
  const maxPositions = reader.size('n_positions', 1024);
  const headDim = hiddenSize / headCount;
  if (!Number.isInteger(headDim)) reader.unsupported('n_head', headCount, 'a divisor of n_embd');
  const epsilon = reader.positive('layer_norm_epsilon', 1e-5);
  const scalesScores = reader.boolean('scale_attn_weights', true);
  const scalesByLayer = reader.boolean('scale_attn_by_inverse_layer_idx', false);
  if (reader.boolean('add_cross_attention', false)) reader.unsupported('add_cross_attention', true, 'false');
  const tiesEmbeddings = reader.boolean('tie_word_embeddings', true);
  const activation = readActivation(reader, 'activation_function', 'gelu_new');

  const list = new ParameterList();
  const form = { bias: true, transposed: true };
  list.add(`${embedding}.weight`, [vocabularySize, hiddenSize]);
  list.add(places, [maxPositions, hiddenSize]);
  for (let i = 0; i < layerCount; i++) {
    const layer = `transformer.h.${i}`;
    list.layerNorm(`${layer}.ln_1`, hiddenSize);
    list.linear(`${layer}.attn.c_attn`, hiddenSize, 3 * hiddenSize, form);
    list.linear(`${layer}.attn.c_proj`, hiddenSize, hiddenSize, form);
    list.layerNorm(`${layer}.ln_2`, hiddenSize);
    list.linear(`${layer}.mlp.c_fc`, hiddenSize, innerSize, form);
    list.linear(`${layer}.mlp.c_proj`, innerSize, hiddenSize, form);
  }
  list.layerNorm(finalNorm, hiddenSize);
  list.output(output, hiddenSize, vocabularySize, tiesEmbeddings);

  const attention = (source: ParameterSource, how: AttentionSource, index: number, x: g.Node): g.Node => {
    const name = `transformer.h.${index}.attn`;
    const packed = list.apply(source, `${name}.c_attn`, x);
    const part = (i: number): g.Node =>
      g.reshape(g.slice(packed, 1, i * hiddenSize, (i + 1) * hiddenSize), ['N', headCount, headDim]);
    const scale = (scalesScores ? 1 / Math.sqrt(headDim) : 1) / (scalesByLayer ? index + 1 : 1);
    return list.apply(source, `${name}.c_proj`, how.attend(index, part(0), part(1), part(2), { scale }));
  };
  const mlp = (source: ParameterSource, index: number, x: g.Node): g.Node => {
    const name = `transformer.h.${index}.mlp`;
    return list.apply(source, `${name}.c_proj`, activation(list.apply(source, `${name}.c_fc`, x)));
  };

  return {
    modelType: 'gpt2',
    vocabularySize,
    hiddenSize,
    layerCount,
    headCount,
    kvHeadCount: headCount,
    headDim,
    maxPositions,
    positionLimit: maxPositions,
    ropes: [],
    tiesEmbeddings,
    inputEmbedding: embedding,
    outputModule: output,
    parameters: list.parameters,
    linearModules: list.linears,
    embed: (source, ids, positions) =>
      g.add(source.embedding(`${embedding}.weight`, ids), source.embedding(places, positions)),
    layer: (source, how, index, x) => {
      const normed = (part: string, of: g.Node): g.Node =>
        layerNormOf(source, `transformer.h.${index}.${part}`, of, epsilon);
      const attended = g.add(x, attention(source, how, index, normed('ln_1', x)));
      return g.add(attended, mlp(source, index, normed('ln_2', attended)));
    },
    logits: (source, x) =>
      source.outputLogits(
        output,
        layerNormOf(source, finalNorm, x, epsilon),
        tiesEmbeddings ? `${embedding}.weight` : undefined,
      ),
  };
};
