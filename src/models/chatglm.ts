/**
 * ChatGLM 2 and 3, GLM-4-9B: half of each head turns, neighbours together; queries, keys and values in one product, gate and
 * up in another. Source: the published modeling_chatglm.py (THUDM/chatglm3-6b, THUDM/glm-4-9b).
 */
import * as g from '../graph/index.ts';
import { turn } from '../nn/index.ts';
import { ConfigReader } from './config-reader.ts';
import type { AttentionSource, ModelReader, ParameterSource } from './family.ts';
import { ParameterList } from './parameter-list.ts';

const embedding = 'transformer.embedding.word_embeddings';
const output = 'transformer.output_layer';
const finalNorm = 'transformer.encoder.final_layernorm';

export const chatglm: ModelReader = (file, json) => {
  const reader = new ConfigReader(file, json);
  const only = (field: string, value: boolean): void => {
    if (reader.boolean(field, value) !== value) reader.unsupported(field, !value, String(value));
  };
  // what no published model of this type has otherwise
  for (const field of ['rmsnorm', 'post_layer_norm', 'original_rope', 'multi_query_attention']) only(field, true);
  only('apply_residual_connection_post_layernorm', false);
  only('tie_word_embeddings', false);
  const vocabularySize = reader.size('padded_vocab_size', 65_024);
  const hiddenSize = reader.size('hidden_size', 4096);
  const intermediateSize = reader.size('ffn_hidden_size', 13_696);
  const layerCount = reader.size('num_layers', 28);
  const headCount = reader.size('num_attention_heads', 32);
  const kvHeadCount = reader.size('multi_query_group_num', 2);
  const headDim = reader.size('kv_channels', 128);
  const epsilon = reader.positive('layernorm_epsilon', 1e-5);
  const bias = reader.boolean('add_bias_linear', false);
  const qkvBias = bias || reader.boolean('add_qkv_bias', false);
  if (headCount % kvHeadCount !== 0) {
    reader.unsupported('multi_query_group_num', kvHeadCount, `a divisor of num_attention_heads (${headCount})`);
  }
  if (headDim % 4 !== 0) reader.unsupported('kv_channels', headDim, 'a multiple of 4');
  const querySize = headCount * headDim;
  const keySize = kvHeadCount * headDim;

  const list = new ParameterList();
  list.add(`${embedding}.weight`, [vocabularySize, hiddenSize]);
  for (let i = 0; i < layerCount; i++) {
    const layer = `transformer.encoder.layers.${i}`;
    list.add(`${layer}.input_layernorm.weight`, [hiddenSize]);
    list.linear(`${layer}.self_attention.query_key_value`, hiddenSize, querySize + 2 * keySize, { bias: qkvBias });
    list.linear(`${layer}.self_attention.dense`, querySize, hiddenSize, { bias });
    list.add(`${layer}.post_attention_layernorm.weight`, [hiddenSize]);
    list.linear(`${layer}.mlp.dense_h_to_4h`, hiddenSize, 2 * intermediateSize, { bias });
    list.linear(`${layer}.mlp.dense_4h_to_h`, intermediateSize, hiddenSize, { bias });
  }
  list.add(`${finalNorm}.weight`, [hiddenSize]);
  list.output(output, hiddenSize, vocabularySize, false);

  const norm = (source: ParameterSource, name: string, x: g.Node): g.Node =>
    g.rmsNorm(x, source.parameter(`${name}.weight`), epsilon);
  const attention = (source: ParameterSource, places: AttentionSource, index: number, x: g.Node): g.Node => {
    const name = `transformer.encoder.layers.${index}.self_attention`;
    const packed = list.apply(source, `${name}.query_key_value`, x);
    const heads = (start: number, count: number): g.Node =>
      g.reshape(g.slice(packed, 1, start, start + count * headDim), ['N', count, headDim]);
    const rotation = places.rotations[0]!;
    const q = turn(heads(0, headCount), rotation, true);
    const k = turn(heads(querySize, kvHeadCount), rotation, true);
    const v = heads(querySize + keySize, kvHeadCount);
    return list.apply(source, `${name}.dense`, places.attend(index, q, k, v, { scale: 1 / Math.sqrt(headDim) }));
  };
  const mlp = (source: ParameterSource, index: number, x: g.Node): g.Node => {
    const name = `transformer.encoder.layers.${index}.mlp`;
    const packed = list.apply(source, `${name}.dense_h_to_4h`, x);
    const gate = g.silu(g.slice(packed, 1, 0, intermediateSize));
    const up = g.slice(packed, 1, intermediateSize, 2 * intermediateSize);
    return list.apply(source, `${name}.dense_4h_to_h`, g.mul(gate, up));
  };

  return {
    modelType: 'chatglm',
    vocabularySize,
    hiddenSize,
    layerCount,
    headCount,
    kvHeadCount,
    headDim,
    maxPositions: reader.size('seq_length', 2048),
    ropes: [
      {
        theta: 10_000 * reader.positive('rope_ratio', 1),
        dimensions: headDim / 2,
        scaling: { type: 'default' },
      },
    ],
    tiesEmbeddings: false,
    inputEmbedding: embedding,
    outputModule: output,
    parameters: list.parameters,
    linearModules: list.linears,
    embed: (source, ids) => source.embedding(`${embedding}.weight`, ids),
    layer: (source, places, index, x) => {
      const name = `transformer.encoder.layers.${index}`;
      const attended = g.add(x, attention(source, places, index, norm(source, `${name}.input_layernorm`, x)));
      return g.add(attended, mlp(source, index, norm(source, `${name}.post_attention_layernorm`, attended)));
    },
    logits: (source, x) => source.outputLogits(output, norm(source, finalNorm, x), undefined),
  };
};
