/**
 * InternLM 2 and 2.5: Llama with queries, keys and values in one product, grouped by key head, and names of its own. Source:
 * the published modeling_internlm2.py (internlm/internlm2-7b).
 */
import * as g from '../graph/index.ts';
import { turn } from '../nn/index.ts';
import { ConfigReader } from './config-reader.ts';
import { readDecoderConfig } from './decoder-config.ts';
import type { AttentionSource, ModelReader, ParameterSource } from './family.ts';
import { ParameterList } from './parameter-list.ts';

const embedding = 'model.tok_embeddings';
const output = 'output';

export const internlm2: ModelReader = (file, json) => {
  const form = { bias: new ConfigReader(file, json).boolean('bias', true) };
  const config = readDecoderConfig(file, json, { modelType: 'internlm2', qkvBias: () => form.bias });
  const { hiddenSize, intermediateSize, layerCount, headCount, kvHeadCount, headDim, tiesEmbeddings } = config;
  const perGroup = headCount / kvHeadCount;
  const list = new ParameterList();
  list.add(`${embedding}.weight`, [config.vocabularySize, hiddenSize]);
  for (let i = 0; i < layerCount; i++) {
    const layer = `model.layers.${i}`;
    list.linear(`${layer}.attention.wqkv`, hiddenSize, (headCount + 2 * kvHeadCount) * headDim, form);
    list.linear(`${layer}.attention.wo`, headCount * headDim, hiddenSize, form);
    list.linear(`${layer}.feed_forward.w1`, hiddenSize, intermediateSize, { bias: false });
    list.linear(`${layer}.feed_forward.w3`, hiddenSize, intermediateSize, { bias: false });
    list.linear(`${layer}.feed_forward.w2`, intermediateSize, hiddenSize, { bias: false });
    list.add(`${layer}.attention_norm.weight`, [hiddenSize]);
    list.add(`${layer}.ffn_norm.weight`, [hiddenSize]);
  }
  list.add('model.norm.weight', [hiddenSize]);
  list.output(output, hiddenSize, config.vocabularySize, tiesEmbeddings);

  const norm = (source: ParameterSource, name: string, x: g.Node): g.Node =>
    g.rmsNorm(x, source.parameter(`${name}.weight`), config.normEpsilon);
  const attention = (source: ParameterSource, places: AttentionSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.attention`;
    // the query heads of a group, then its key and its value
    const packed = g.reshape(list.apply(source, `${name}.wqkv`, x), ['N', kvHeadCount, perGroup + 2, headDim]);
    const part = (start: number, count: number): g.Node =>
      g.reshape(g.slice(packed, 2, start, start + count), ['N', kvHeadCount * count, headDim]);
    const rotation = places.rotations[0]!;
    const q = turn(part(0, perGroup), rotation);
    const k = turn(part(perGroup, 1), rotation);
    const mixed = places.attend(index, q, k, part(perGroup + 1, 1), { scale: 1 / Math.sqrt(headDim) });
    return list.apply(source, `${name}.wo`, mixed);
  };
  const mlp = (source: ParameterSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.feed_forward`;
    const gate = g.silu(list.apply(source, `${name}.w1`, x));
    return list.apply(source, `${name}.w2`, g.mul(gate, list.apply(source, `${name}.w3`, x)));
  };

  return {
    modelType: 'internlm2',
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
      const attended = g.add(x, attention(source, places, index, norm(source, `${name}.attention_norm`, x)));
      return g.add(attended, mlp(source, index, norm(source, `${name}.ffn_norm`, attended)));
    },
    logits: (source, x) =>
      source.outputLogits(output, norm(source, 'model.norm', x), tiesEmbeddings ? `${embedding}.weight` : undefined),
  };
};
