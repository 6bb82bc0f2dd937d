/** GPT-NeoX: Pythia, RedPajama-INCITE, StableLM alpha, StableCode. Source: transformers modeling_gpt_neox.py. */
import * as g from '../graph/index.ts';
import { turn } from '../nn/index.ts';
import { readActivation } from './activation.ts';
import { ConfigReader } from './config-reader.ts';
import type { AttentionSource, ModelReader, ParameterSource } from './family.ts';
import { layerNormOf, ParameterList } from './parameter-list.ts';
import { readRope } from './rope-config.ts';

const embedding = 'gpt_neox.embed_in';
const output = 'embed_out';
const finalNorm = 'gpt_neox.final_layer_norm';

export const gptNeox: ModelReader = (file, json) => {
  const reader = new ConfigReader(file, json);
  const vocabularySize = reader.size('vocab_size', 50_432);
  const hiddenSize = reader.size('hidden_size', 6144);
  const intermediateSize = reader.size('intermediate_size', 24_576);
  const layerCount = reader.size('num_hidden_layers', 44);
  const headCount = reader.size('num_attention_heads', 64);
  const headDim = hiddenSize / headCount;
  if (!Number.isInteger(headDim)) reader.unsupported('num_attention_heads', headCount, 'a divisor of hidden_size');
  const epsilon = reader.positive('layer_norm_eps', 1e-5);
  const parallel = reader.boolean('use_parallel_residual', true);
  const bias = reader.boolean('attention_bias', true);
  const tiesEmbeddings = reader.boolean('tie_word_embeddings', false);
  const activation = readActivation(reader, 'hidden_act', 'gelu');

  const list = new ParameterList();
  list.add(`${embedding}.weight`, [vocabularySize, hiddenSize]);
  for (let i = 0; i < layerCount; i++) {
    const layer = `gpt_neox.layers.${i}`;
    list.layerNorm(`${layer}.input_layernorm`, hiddenSize);
    list.layerNorm(`${layer}.post_attention_layernorm`, hiddenSize);
    list.linear(`${layer}.attention.query_key_value`, hiddenSize, 3 * hiddenSize, { bias });
    list.linear(`${layer}.attention.dense`, hiddenSize, hiddenSize, { bias });
    list.linear(`${layer}.mlp.dense_h_to_4h`, hiddenSize, intermediateSize, { bias: true });
    list.linear(`${layer}.mlp.dense_4h_to_h`, intermediateSize, hiddenSize, { bias: true });
  }
  list.layerNorm(finalNorm, hiddenSize);
  list.output(output, hiddenSize, vocabularySize, tiesEmbeddings);

  const attention = (source: ParameterSource, places: AttentionSource, index: number, x: g.Node): g.Node => {
    const name = `gpt_neox.layers.${index}.attention`;
    // each head's query, key and value lie side by side
    const packed = g.reshape(list.apply(source, `${name}.query_key_value`, x), ['N', headCount, 3 * headDim]);
    const part = (i: number): g.Node => g.slice(packed, 2, i * headDim, (i + 1) * headDim);
    const rotation = places.rotations[0]!;
    const mixed = places.attend(index, turn(part(0), rotation), turn(part(1), rotation), part(2), {
      scale: 1 / Math.sqrt(headDim),
    });
    return list.apply(source, `${name}.dense`, mixed);
  };
  const mlp = (source: ParameterSource, index: number, x: g.Node): g.Node => {
    const name = `gpt_neox.layers.${index}.mlp`;
    const inner = activation(list.apply(source, `${name}.dense_h_to_4h`, x));
    return list.apply(source, `${name}.dense_4h_to_h`, inner);
  };

  return {
    modelType: 'gpt_neox',
    vocabularySize,
    hiddenSize,
    layerCount,
    headCount,
    kvHeadCount: headCount,
    headDim,
    maxPositions: reader.size('max_position_embeddings', 2048),
    ropes: [
      readRope(reader, headDim, 10_000, {
        thetaField: 'rotary_emb_base',
        shareField: 'rotary_pct',
        defaultShare: 0.25,
      }),
    ],
    tiesEmbeddings,
    inputEmbedding: embedding,
    outputModule: output,
    parameters: list.parameters,
    linearModules: list.linears,
    embed: (source, ids) => source.embedding(`${embedding}.weight`, ids),
    layer: (source, places, index, x) => {
      const name = `gpt_neox.layers.${index}`;
      const normed = (part: string, of: g.Node): g.Node => layerNormOf(source, `${name}.${part}`, of, epsilon);
      const attended = g.add(x, attention(source, places, index, normed('input_layernorm', x)));
      return g.add(attended, mlp(source, index, normed('post_attention_layernorm', parallel ? x : attended)));
    },
    logits: (source, x) =>
      source.outputLogits(
        output,
        layerNormOf(source, finalNorm, x, epsilon),
        tiesEmbeddings ? `${embedding}.weight` : undefined,
      ),
  };
};
