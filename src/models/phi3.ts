/** Phi-3 and Phi-3.5: Llama with queries, keys and values in one product, and gate and up in another. Source: transformers modeling_phi3.py. */
import * as g from '../graph/index.ts';
import { turn } from '../nn/index.ts';
import { ConfigReader } from './config-reader.ts';
import { readDecoderConfig } from './decoder-config.ts';
import type { AttentionSource, ModelReader, ParameterSource } from './family.ts';
import { ParameterList } from './parameter-list.ts';

const embedding = 'model.embed_tokens';
const output = 'lm_head';

export const phi3: ModelReader = (file, json) => {
  const reader = new ConfigReader(file, json);
  const base = readDecoderConfig(file, json, {
    modelType: 'phi3',
    qkvBias: () => false,
    partialRope: { defaultShare: 1, longropeNames: ['su', 'yarn'] },
    defaultPositions: 4096,
    defaultEpsilon: 1e-5,
  });
  const { vocabularySize, hiddenSize, intermediateSize, layerCount, headCount, kvHeadCount, headDim } = base;
  const { normEpsilon, tiesEmbeddings } = base;
  const window = typeof reader.json['sliding_window'] === 'number' ? reader.size('sliding_window') : undefined;
  const querySize = headCount * headDim;
  const keySize = kvHeadCount * headDim;

  const list = new ParameterList();
  const form = { bias: false };
  list.add(`${embedding}.weight`, [vocabularySize, hiddenSize]);
  for (let i = 0; i < layerCount; i++) {
    const layer = `model.layers.${i}`;
    list.linear(`${layer}.self_attn.o_proj`, querySize, hiddenSize, form);
    list.linear(`${layer}.self_attn.qkv_proj`, hiddenSize, querySize + 2 * keySize, form);
    list.linear(`${layer}.mlp.gate_up_proj`, hiddenSize, 2 * intermediateSize, form);
    list.linear(`${layer}.mlp.down_proj`, intermediateSize, hiddenSize, form);
    list.add(`${layer}.input_layernorm.weight`, [hiddenSize]);
    list.add(`${layer}.post_attention_layernorm.weight`, [hiddenSize]);
  }
  list.add('model.norm.weight', [hiddenSize]);
  list.output(output, hiddenSize, vocabularySize, tiesEmbeddings);

  const norm = (source: ParameterSource, name: string, x: g.Node): g.Node =>
    g.rmsNorm(x, source.parameter(`${name}.weight`), normEpsilon);
  const attention = (source: ParameterSource, places: AttentionSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.self_attn`;
    const packed = list.apply(source, `${name}.qkv_proj`, x);
    const heads = (start: number, count: number): g.Node =>
      g.reshape(g.slice(packed, 1, start, start + count * headDim), ['N', count, headDim]);
    const rotation = places.rotations[0]!;
    const q = turn(heads(0, headCount), rotation);
    const k = turn(heads(querySize, kvHeadCount), rotation);
    const v = heads(querySize + keySize, kvHeadCount);
    const mixed = places.attend(index, q, k, v, { scale: 1 / Math.sqrt(headDim), window });
    return list.apply(source, `${name}.o_proj`, mixed);
  };
  const mlp = (source: ParameterSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.mlp`;
    const packed = list.apply(source, `${name}.gate_up_proj`, x);
    const gate = g.silu(g.slice(packed, 1, 0, intermediateSize));
    const up = g.slice(packed, 1, intermediateSize, 2 * intermediateSize);
    return list.apply(source, `${name}.down_proj`, g.mul(gate, up));
  };

  return {
    modelType: 'phi3',
    vocabularySize,
    hiddenSize,
    layerCount,
    headCount,
    kvHeadCount,
    headDim,
    maxPositions: base.maxPositions,
    ropes: [base.rope],
    recomputesTurnedKeys: true,
    tiesEmbeddings,
    inputEmbedding: embedding,
    outputModule: output,
    parameters: list.parameters,
    linearModules: list.linears,
    embed: (source, ids) => source.embedding(`${embedding}.weight`, ids),
    layer: (source, places, index, x) => {
      const name = `model.layers.${index}`;
      const attended = g.add(x, attention(source, places, index, norm(source, `${name}.input_layernorm`, x)));
      return g.add(attended, mlp(source, index, norm(source, `${name}.post_attention_layernorm`, attended)));
    },
    logits: (source, x) =>
      source.outputLogits(output, norm(source, 'model.norm', x), tiesEmbeddings ? `${embedding}.weight` : undefined),
  };
};
