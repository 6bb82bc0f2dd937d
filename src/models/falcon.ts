/**
 * Falcon: 7B (one key head, attention and MLP side by side), 40B and 180B (the new decoder: grouped heads), RW (alibi, blocks
 * one after the other). Source: transformers modeling_falcon.py.
 */
import * as g from '../graph/index.ts';
import { alibiSlopes, turn } from '../nn/index.ts';
import { readActivation } from './activation.ts';
import { ConfigReader } from './config-reader.ts';
import type { AttentionSource, ModelReader, ParameterSource } from './family.ts';
import { layerNormOf, ParameterList } from './parameter-list.ts';
import { readRope } from './rope-config.ts';

const embedding = 'transformer.word_embeddings';
const output = 'lm_head';
const finalNorm = 'transformer.ln_f';

export const falcon: ModelReader = (file, json) => {
  const reader = new ConfigReader(file, json);
  const size = (field: string, older: string, fallback: number): number =>
    reader.json[field] === undefined ? reader.size(older, fallback) : reader.size(field);
  const vocabularySize = reader.size('vocab_size', 65_024);
  const hiddenSize = size('hidden_size', 'n_embed', 4544);
  const layerCount = size('num_hidden_layers', 'n_layer', 32);
  const headCount = size('num_attention_heads', 'n_head', 71);
  const innerSize = reader.size('ffn_hidden_size', 4 * hiddenSize);
  const headDim = hiddenSize / headCount;
  if (!Number.isInteger(headDim)) reader.unsupported('num_attention_heads', headCount, 'a divisor of hidden_size');
  const epsilon = reader.positive('layer_norm_epsilon', 1e-5);
  const newDecoder = reader.boolean('new_decoder_architecture', false);
  const oneKeyHead = !newDecoder && reader.boolean('multi_query', true);
  const parallel = newDecoder || reader.boolean('parallel_attn', true);
  const usesAlibi = reader.boolean('alibi', false);
  const tiesEmbeddings = reader.boolean('tie_word_embeddings', true);
  const activation = readActivation(reader, 'activation', 'gelu');
  const form = { bias: reader.boolean('bias', false) };
  const kvHeadCount = oneKeyHead ? 1 : newDecoder ? size('num_kv_heads', 'n_head_kv', headCount) : headCount;
  if (headCount % kvHeadCount !== 0) {
    reader.unsupported('num_kv_heads', kvHeadCount, `a divisor of num_attention_heads (${headCount})`);
  }
  const perGroup = headCount / kvHeadCount;
  const twoNorms = newDecoder && reader.size('num_ln_in_parallel_attn', 2) === 2;
  const normNames = twoNorms
    ? (['ln_attn', 'ln_mlp'] as const)
    : parallel
      ? (['input_layernorm', 'input_layernorm'] as const)
      : (['input_layernorm', 'post_attention_layernorm'] as const);

  const list = new ParameterList();
  list.add(`${embedding}.weight`, [vocabularySize, hiddenSize]);
  for (let i = 0; i < layerCount; i++) {
    const layer = `transformer.h.${i}`;
    const packedSize = (headCount + 2 * kvHeadCount) * headDim;
    list.linear(`${layer}.self_attention.query_key_value`, hiddenSize, packedSize, form);
    list.linear(`${layer}.self_attention.dense`, hiddenSize, hiddenSize, form);
    list.linear(`${layer}.mlp.dense_h_to_4h`, hiddenSize, innerSize, form);
    list.linear(`${layer}.mlp.dense_4h_to_h`, innerSize, hiddenSize, form);
    for (const name of new Set(normNames)) list.layerNorm(`${layer}.${name}`, hiddenSize);
  }
  list.layerNorm(finalNorm, hiddenSize);
  list.output(output, hiddenSize, vocabularySize, tiesEmbeddings);

  const attention = (source: ParameterSource, places: AttentionSource, index: number, x: g.Node): g.Node => {
    const name = `transformer.h.${index}.self_attention`;
    // the query heads of a group, then its key and its value
    const packed = g.reshape(list.apply(source, `${name}.query_key_value`, x), [
      'N',
      kvHeadCount,
      perGroup + 2,
      headDim,
    ]);
    const part = (start: number, count: number): g.Node =>
      g.reshape(g.slice(packed, 2, start, start + count), ['N', kvHeadCount * count, headDim]);
    const placed = (heads: g.Node): g.Node => (usesAlibi ? heads : turn(heads, places.rotations[0]!));
    const scale = 1 / Math.sqrt(headDim);
    const mixed = places.attend(index, placed(part(0, perGroup)), placed(part(perGroup, 1)), part(perGroup + 1, 1), {
      scale,
      alibi: usesAlibi ? { slopes: alibiSlopes(headCount), roundedScale: scale } : undefined,
    });
    return list.apply(source, `${name}.dense`, mixed);
  };
  const mlp = (source: ParameterSource, index: number, x: g.Node): g.Node => {
    const name = `transformer.h.${index}.mlp`;
    const inner = activation(list.apply(source, `${name}.dense_h_to_4h`, x));
    return list.apply(source, `${name}.dense_4h_to_h`, inner);
  };

  return {
    modelType: 'falcon',
    vocabularySize,
    hiddenSize,
    layerCount,
    headCount,
    kvHeadCount,
    headDim,
    maxPositions: reader.size('max_position_embeddings', 2048),
    ropes: usesAlibi ? [] : [readRope(reader, headDim, 10_000)],
    tiesEmbeddings,
    inputEmbedding: embedding,
    outputModule: output,
    parameters: list.parameters,
    linearModules: list.linears,
    embed: (source, ids) => source.embedding(`${embedding}.weight`, ids),
    layer: (source, places, index, x) => {
      const normed = (part: string, of: g.Node): g.Node =>
        layerNormOf(source, `transformer.h.${index}.${part}`, of, epsilon);
      const attended = g.add(x, attention(source, places, index, normed(normNames[0], x)));
      return g.add(attended, mlp(source, index, normed(normNames[1], parallel ? x : attended)));
    },
    logits: (source, x) =>
      source.outputLogits(
        output,
        layerNormOf(source, finalNorm, x, epsilon),
        tiesEmbeddings ? `${embedding}.weight` : undefined,
      ),
  };
};
