/**
 * StableLM 3B, Zephyr, 2 and 2 12B: Llama with layer norms, partly turned heads and, in 12B, heads normalised and blocks side
 * by side. Source: transformers modeling_stablelm.py.
 */
import * as g from '../graph/index.ts';
import { turn } from '../nn/index.ts';
import { readActivation } from './activation.ts';
import { ConfigReader } from './config-reader.ts';
import type { AttentionSource, ModelReader, ParameterSource } from './family.ts';
import { layerNormOf, ParameterList } from './parameter-list.ts';
import { readRope } from './rope-config.ts';

const embedding = 'model.embed_tokens';
const output = 'lm_head';
const finalNorm = 'model.norm';

export const stablelm: ModelReader = (file, json) => {
  const reader = new ConfigReader(file, json);
  const vocabularySize = reader.size('vocab_size', 50_304);
  const hiddenSize = reader.size('hidden_size', 2560);
  const intermediateSize = reader.size('intermediate_size', 6912);
  const layerCount = reader.size('num_hidden_layers', 32);
  const headCount = reader.size('num_attention_heads', 32);
  const kvHeadCount = reader.size('num_key_value_heads', 32);
  const headDim = hiddenSize / headCount;
  if (!Number.isInteger(headDim)) reader.unsupported('num_attention_heads', headCount, 'a divisor of hidden_size');
  if (headCount % kvHeadCount !== 0) {
    reader.unsupported('num_key_value_heads', kvHeadCount, `a divisor of num_attention_heads (${headCount})`);
  }
  const epsilon = reader.positive('layer_norm_eps', 1e-5);
  const qkvBias = reader.boolean('use_qkv_bias', false);
  const headNorm = reader.boolean('qk_layernorm', false);
  const parallel = reader.boolean('use_parallel_residual', false);
  const tiesEmbeddings = reader.boolean('tie_word_embeddings', false);
  const activation = readActivation(reader, 'hidden_act', 'silu');

  const list = new ParameterList();
  list.add(`${embedding}.weight`, [vocabularySize, hiddenSize]);
  const headCounts = { q: headCount, k: kvHeadCount, v: kvHeadCount };
  for (let i = 0; i < layerCount; i++) {
    const layer = `model.layers.${i}`;
    for (const part of ['q', 'k', 'v'] as const) {
      list.linear(`${layer}.self_attn.${part}_proj`, hiddenSize, headCounts[part] * headDim, { bias: qkvBias });
    }
    list.linear(`${layer}.self_attn.o_proj`, hiddenSize, hiddenSize, { bias: false });
    for (const part of headNorm ? (['q', 'k'] as const) : []) {
      for (let h = 0; h < headCounts[part]; h++) {
        list.add(`${layer}.self_attn.${part}_layernorm.norms.${h}.weight`, [headDim]);
      }
    }
    list.linear(`${layer}.mlp.gate_proj`, hiddenSize, intermediateSize, { bias: false });
    list.linear(`${layer}.mlp.up_proj`, hiddenSize, intermediateSize, { bias: false });
    list.linear(`${layer}.mlp.down_proj`, intermediateSize, hiddenSize, { bias: false });
    list.layerNorm(`${layer}.input_layernorm`, hiddenSize);
    if (!parallel) list.layerNorm(`${layer}.post_attention_layernorm`, hiddenSize);
  }
  list.layerNorm(finalNorm, hiddenSize);
  list.output(output, hiddenSize, vocabularySize, tiesEmbeddings);

  /** Each head has a gain of its own, and no bias: x f32[N, H, E]. */
  const perHeadNorm = (source: ParameterSource, name: string, x: g.Node, count: number): g.Node => {
    const ones = g.constant(
      Array.from({ length: headDim }, () => 1),
      [headDim],
    );
    const zeros = g.constant(
      Array.from({ length: headDim }, () => 0),
      [headDim],
    );
    const gains = Array.from({ length: count }, (_, h) =>
      g.reshape(source.parameter(`${name}.norms.${h}.weight`), [1, headDim]),
    );
    return g.mul(g.layerNorm(x, ones, zeros, epsilon), g.concat(gains, 0));
  };
  const attention = (source: ParameterSource, places: AttentionSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.self_attn`;
    const heads = (part: 'q' | 'k' | 'v'): g.Node => {
      const count = headCounts[part];
      const split = g.reshape(list.apply(source, `${name}.${part}_proj`, x), ['N', count, headDim]);
      return headNorm && part !== 'v' ? perHeadNorm(source, `${name}.${part}_layernorm`, split, count) : split;
    };
    const rotation = places.rotations[0]!;
    const mixed = places.attend(index, turn(heads('q'), rotation), turn(heads('k'), rotation), heads('v'), {
      scale: 1 / Math.sqrt(headDim),
    });
    return list.apply(source, `${name}.o_proj`, mixed);
  };
  const mlp = (source: ParameterSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.mlp`;
    const gate = activation(list.apply(source, `${name}.gate_proj`, x));
    return list.apply(source, `${name}.down_proj`, g.mul(gate, list.apply(source, `${name}.up_proj`, x)));
  };

  return {
    modelType: 'stablelm',
    vocabularySize,
    hiddenSize,
    layerCount,
    headCount,
    kvHeadCount,
    headDim,
    maxPositions: reader.size('max_position_embeddings', 4096),
    ropes: [readRope(reader, headDim, 10_000, { defaultShare: 0.25 })],
    tiesEmbeddings,
    inputEmbedding: embedding,
    outputModule: output,
    parameters: list.parameters,
    linearModules: list.linears,
    embed: (source, ids) => source.embedding(`${embedding}.weight`, ids),
    layer: (source, places, index, x) => {
      const name = `model.layers.${index}`;
      const normed = layerNormOf(source, `${name}.input_layernorm`, x, epsilon);
      const attended = g.add(x, attention(source, places, index, normed));
      const inner = parallel ? normed : layerNormOf(source, `${name}.post_attention_layernorm`, attended, epsilon);
      return g.add(attended, mlp(source, index, inner));
    },
    logits: (source, x) =>
      source.outputLogits(
        output,
        layerNormOf(source, finalNorm, x, epsilon),
        tiesEmbeddings ? `${embedding}.weight` : undefined,
      ),
  };
};
