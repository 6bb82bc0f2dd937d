/**
 * Baichuan 1 and 2: queries, keys and values in one product (`W_pack`). The 7B models turn their heads; the 13B models, whose
 * config has no `max_position_embeddings`, use alibi. Baichuan 2 normalises the rows of its head. Source: the published
 * modeling_baichuan.py (baichuan-inc/Baichuan-13B-Base, Baichuan2-7B-Base, Baichuan2-13B-Base).
 */
import * as g from '../graph/index.ts';
import { alibiSlopes, turn } from '../nn/index.ts';
import { ConfigReader } from './config-reader.ts';
import { readDecoderConfig } from './decoder-config.ts';
import type { AttentionSource, ModelReader, ParameterSource } from './family.ts';
import { ParameterList } from './parameter-list.ts';

const embedding = 'model.embed_tokens';
const output = 'lm_head';
/** Baichuan 2's vocabulary; Baichuan 1 has 64,000. */
const secondVocabulary = 125_696;
/** torch.nn.functional.normalize divides by no less, in squares. */
const smallestSquare = 1e-24;

export const baichuan: ModelReader = (file, json) => {
  const reader = new ConfigReader(file, json);
  const config = readDecoderConfig(file, json, { modelType: 'baichuan', qkvBias: () => false });
  const { vocabularySize, hiddenSize, intermediateSize, layerCount, headCount, headDim, tiesEmbeddings } = config;
  const turns = reader.json['max_position_embeddings'] !== undefined;
  const maxPositions = turns ? config.maxPositions : reader.size('model_max_length', 4096);
  const normalizesHead = vocabularySize >= secondVocabulary || reader.json['z_loss_weight'] !== undefined;
  if (config.kvHeadCount !== headCount) {
    reader.unsupported('num_key_value_heads', config.kvHeadCount, `num_attention_heads (${headCount})`);
  }
  if (headDim * headCount !== hiddenSize) {
    reader.unsupported('num_attention_heads', headCount, 'a divisor of hidden_size');
  }
  if (tiesEmbeddings) reader.unsupported('tie_word_embeddings', true, 'false');

  const list = new ParameterList();
  const form = { bias: false };
  list.add(`${embedding}.weight`, [vocabularySize, hiddenSize]);
  for (let i = 0; i < layerCount; i++) {
    const layer = `model.layers.${i}`;
    list.linear(`${layer}.self_attn.W_pack`, hiddenSize, 3 * hiddenSize, form);
    list.linear(`${layer}.self_attn.o_proj`, hiddenSize, hiddenSize, form);
    list.linear(`${layer}.mlp.gate_proj`, hiddenSize, intermediateSize, form);
    list.linear(`${layer}.mlp.up_proj`, hiddenSize, intermediateSize, form);
    list.linear(`${layer}.mlp.down_proj`, intermediateSize, hiddenSize, form);
    list.add(`${layer}.input_layernorm.weight`, [hiddenSize]);
    list.add(`${layer}.post_attention_layernorm.weight`, [hiddenSize]);
  }
  list.add('model.norm.weight', [hiddenSize]);
  // a normalised head is no linear module: an adapter cannot sit on it
  if (normalizesHead) list.add(`${output}.weight`, [vocabularySize, hiddenSize]);
  else list.output(output, hiddenSize, vocabularySize, false);

  const norm = (source: ParameterSource, name: string, x: g.Node): g.Node =>
    g.rmsNorm(x, source.parameter(`${name}.weight`), config.normEpsilon);
  const attention = (source: ParameterSource, places: AttentionSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.self_attn`;
    const packed = list.apply(source, `${name}.W_pack`, x);
    const part = (i: number): g.Node =>
      g.reshape(g.slice(packed, 1, i * hiddenSize, (i + 1) * hiddenSize), ['N', headCount, headDim]);
    const placed = (heads: g.Node): g.Node => (turns ? turn(heads, places.rotations[0]!) : heads);
    const mixed = places.attend(index, placed(part(0)), placed(part(1)), part(2), {
      scale: 1 / Math.sqrt(headDim),
      alibi: turns ? undefined : { slopes: alibiSlopes(headCount) },
    });
    return list.apply(source, `${name}.o_proj`, mixed);
  };
  const mlp = (source: ParameterSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.mlp`;
    const gate = g.silu(list.apply(source, `${name}.gate_proj`, x));
    return list.apply(source, `${name}.down_proj`, g.mul(gate, list.apply(source, `${name}.up_proj`, x)));
  };

  return {
    modelType: 'baichuan',
    vocabularySize,
    hiddenSize,
    layerCount,
    headCount,
    kvHeadCount: headCount,
    headDim,
    maxPositions,
    ropes: turns ? [config.rope] : [],
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
    logits: (source, x) => {
      const logits = source.outputLogits(output, norm(source, 'model.norm', x), undefined);
      if (!normalizesHead) return logits;
      // each row times itself: the sum of squares without a second table. A head in stretches has fewer rows
      const head = source.parameter(`${output}.weight`);
      const rows = head.shape[0]!;
      const each = g.reshape(head, [rows, 1, hiddenSize]);
      const squares = g.reshape(g.matmul(each, each, { transposeB: true }), [1, rows]);
      return g.div(logits, g.sqrt(g.add(squares, g.scalar(smallestSquare))));
    },
  };
};
