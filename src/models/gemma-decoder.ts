/**
 * The decoder that Gemma 1, 2 and 3 share: embeddings scaled by sqrt(D), norms whose gain is 1 + w, a gated GELU MLP. Each
 * family's file says which of its parts are there.
 */
import * as g from '../graph/index.ts';
import { type RopeConfig, softCapped, turn } from '../nn/index.ts';
import { readActivation } from './activation.ts';
import { ConfigReader } from './config-reader.ts';
import type { AttentionSource, Model, ParameterSource } from './family.ts';
import { ParameterList } from './parameter-list.ts';

export interface GemmaLayer {
  /** Sliding window; undefined: full attention. */
  readonly window: number | undefined;
  /** Which of the model's rotations. */
  readonly rope: number;
}

/** What differs between the three. */
export interface GemmaVariant {
  readonly modelType: string;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly defaultPositions: number;
  /** Also norms after attention and after the MLP, before each is added (Gemma 2 and 3). */
  readonly outerNorms: boolean;
  /** RMS norm of each query and key head (Gemma 3). */
  readonly headNorm: boolean;
  /** The activation's field. */
  readonly activationField: string;
  /** Scores are divided by its root; undefined: the size of a head. */
  readonly queryScalar: number | undefined;
  readonly scoreCap: number | undefined;
  readonly logitCap: number | undefined;
  readonly ropes: readonly RopeConfig[];
  readonly layers: readonly GemmaLayer[];
}

const embedding = 'model.embed_tokens';
const output = 'lm_head';

/** A cap of the config: a positive number, or undefined where it is null. */
export function readCap(reader: ConfigReader, field: string, fallback: number | undefined): number | undefined {
  const value = reader.json[field];
  return value === null || (value === undefined && fallback === undefined)
    ? undefined
    : reader.positive(field, fallback);
}

/** The activation: files of Gemma 1 say `gelu` where they mean its tanh form. */
function readGemmaActivation(reader: ConfigReader, field: string): (x: g.Node) => g.Node {
  const activation = readActivation(reader, field, 'gelu_pytorch_tanh');
  return field === 'hidden_act' && reader.json[field] === 'gelu' ? (x) => g.gelu(x, 'tanh') : activation;
}

/** The model of a Gemma config. */
export function gemmaDecoder(reader: ConfigReader, headDim: number, variant: GemmaVariant): Model {
  const { headCount, kvHeadCount, outerNorms, headNorm } = variant;
  const vocabularySize = reader.size('vocab_size', 256_000);
  const hiddenSize = reader.size('hidden_size');
  const intermediateSize = reader.size('intermediate_size');
  const layerCount = variant.layers.length;
  const epsilon = reader.positive('rms_norm_eps', 1e-6);
  const tiesEmbeddings = reader.boolean('tie_word_embeddings', true);
  if (reader.boolean('use_bidirectional_attention', false)) {
    reader.unsupported('use_bidirectional_attention', true, 'false');
  }
  if (headCount % kvHeadCount !== 0) {
    reader.unsupported('num_key_value_heads', kvHeadCount, `a divisor of num_attention_heads (${headCount})`);
  }
  const form = { bias: reader.boolean('attention_bias', false) };
  const activation = readGemmaActivation(reader, variant.activationField);

  const list = new ParameterList();
  list.add(`${embedding}.weight`, [vocabularySize, hiddenSize]);
  const normNames = outerNorms
    ? ['input_layernorm', 'post_attention_layernorm', 'pre_feedforward_layernorm', 'post_feedforward_layernorm']
    : ['input_layernorm', 'post_attention_layernorm'];
  for (let i = 0; i < layerCount; i++) {
    const layer = `model.layers.${i}`;
    list.linear(`${layer}.self_attn.q_proj`, hiddenSize, headCount * headDim, form);
    list.linear(`${layer}.self_attn.k_proj`, hiddenSize, kvHeadCount * headDim, form);
    list.linear(`${layer}.self_attn.v_proj`, hiddenSize, kvHeadCount * headDim, form);
    list.linear(`${layer}.self_attn.o_proj`, headCount * headDim, hiddenSize, form);
    if (headNorm) {
      list.add(`${layer}.self_attn.q_norm.weight`, [headDim]);
      list.add(`${layer}.self_attn.k_norm.weight`, [headDim]);
    }
    list.linear(`${layer}.mlp.gate_proj`, hiddenSize, intermediateSize, { bias: false });
    list.linear(`${layer}.mlp.up_proj`, hiddenSize, intermediateSize, { bias: false });
    list.linear(`${layer}.mlp.down_proj`, intermediateSize, hiddenSize, { bias: false });
    for (const name of normNames) list.add(`${layer}.${name}.weight`, [hiddenSize]);
  }
  list.add('model.norm.weight', [hiddenSize]);
  list.output(output, hiddenSize, vocabularySize, tiesEmbeddings);

  const norm = (source: ParameterSource, name: string, x: g.Node): g.Node =>
    g.rmsNorm(x, g.add(source.parameter(`${name}.weight`), g.scalar(1)), epsilon);
  const attention = (source: ParameterSource, places: AttentionSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.self_attn`;
    const { window, rope } = variant.layers[index]!;
    const heads = (part: 'q' | 'k' | 'v', count: number): g.Node => {
      const split = g.reshape(list.apply(source, `${name}.${part}_proj`, x), ['N', count, headDim]);
      return headNorm && part !== 'v' ? norm(source, `${name}.${part}_norm`, split) : split;
    };
    const rotation = places.rotations[rope]!;
    const mixed = places.attend(
      index,
      turn(heads('q', headCount), rotation),
      turn(heads('k', kvHeadCount), rotation),
      heads('v', kvHeadCount),
      { scale: 1 / Math.sqrt(variant.queryScalar ?? headDim), window, softCap: variant.scoreCap },
    );
    return list.apply(source, `${name}.o_proj`, mixed);
  };
  const mlp = (source: ParameterSource, index: number, x: g.Node): g.Node => {
    const name = `model.layers.${index}.mlp`;
    const gate = activation(list.apply(source, `${name}.gate_proj`, x));
    return list.apply(source, `${name}.down_proj`, g.mul(gate, list.apply(source, `${name}.up_proj`, x)));
  };

  return {
    modelType: variant.modelType,
    vocabularySize,
    hiddenSize,
    layerCount,
    headCount,
    kvHeadCount,
    headDim,
    maxPositions: reader.size('max_position_embeddings', variant.defaultPositions),
    ropes: variant.ropes,
    tiesEmbeddings,
    inputEmbedding: embedding,
    outputModule: output,
    parameters: list.parameters,
    linearModules: list.linears,
    embed: (source, ids) =>
      g.mul(source.embedding(`${embedding}.weight`, ids), g.scalar(Math.fround(Math.sqrt(hiddenSize)))),
    layer: (source, places, index, x) => {
      const normed = (part: string, of: g.Node): g.Node => norm(source, `model.layers.${index}.${part}`, of);
      const mixed = attention(source, places, index, normed('input_layernorm', x));
      const attended = g.add(x, outerNorms ? normed('post_attention_layernorm', mixed) : mixed);
      const inner = normed(outerNorms ? 'pre_feedforward_layernorm' : 'post_attention_layernorm', attended);
      const fed = mlp(source, index, inner);
      return g.add(attended, outerNorms ? normed('post_feedforward_layernorm', fed) : fed);
    },
    logits: (source, x) =>
      softCapped(
        source.outputLogits(output, norm(source, 'model.norm', x), tiesEmbeddings ? `${embedding}.weight` : undefined),
        variant.logitCap,
      ),
  };
}
