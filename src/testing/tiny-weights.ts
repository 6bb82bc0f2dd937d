/**
 * Random weights of tiny models, each a pure function of (seed, tensor name, index): what bench/parity/tiny_model.py makes
 * in numpy, bit for bit, so that recorded outputs of PyTorch need no stored weights.
 */
import { hashKey, mix32 } from '../util/index.ts';

/** What tensors a `config.json` asks for: name to shape, in the order of the file. */
export type TensorShapes = ReadonlyMap<string, readonly number[]>;

/** A Hugging Face `config.json` as an object. */
export type ModelConfigJson = Readonly<Record<string, unknown>>;

function numberOf(config: ModelConfigJson, key: string, otherwise?: number): number {
  const value = config[key] ?? otherwise;
  if (typeof value !== 'number')
    throw new TypeError(`tiny model: config.${key} must be a number, got ${JSON.stringify(value)}`);
  return value;
}

/**
 * Names and shapes of the weights of a llama, mistral, qwen2 or qwen3 model, as its safetensors file holds them (a tied
 * head is not stored).
 */
export function tinyModelShapes(config: ModelConfigJson): TensorShapes {
  const width = numberOf(config, 'hidden_size');
  const heads = numberOf(config, 'num_attention_heads');
  const kvHeads = numberOf(config, 'num_key_value_heads', heads);
  const headDim = numberOf(config, 'head_dim', width / heads);
  const ffn = numberOf(config, 'intermediate_size');
  const vocab = numberOf(config, 'vocab_size');
  const kind = config['model_type'];
  const allBiases = config['attention_bias'] === true;
  const attentionBias = allBiases || kind === 'qwen2';
  const mlpBias = config['mlp_bias'] === true;

  const shapes = new Map<string, readonly number[]>();
  const linear = (name: string, outputs: number, inputs: number, bias: boolean) => {
    shapes.set(`${name}.weight`, [outputs, inputs]);
    if (bias) shapes.set(`${name}.bias`, [outputs]);
  };
  shapes.set('model.embed_tokens.weight', [vocab, width]);
  for (let i = 0; i < numberOf(config, 'num_hidden_layers'); i++) {
    const layer = `model.layers.${i}`;
    linear(`${layer}.self_attn.q_proj`, heads * headDim, width, attentionBias);
    linear(`${layer}.self_attn.k_proj`, kvHeads * headDim, width, attentionBias);
    linear(`${layer}.self_attn.v_proj`, kvHeads * headDim, width, attentionBias);
    linear(`${layer}.self_attn.o_proj`, width, heads * headDim, allBiases);
    if (kind === 'qwen3') {
      shapes.set(`${layer}.self_attn.q_norm.weight`, [headDim]);
      shapes.set(`${layer}.self_attn.k_norm.weight`, [headDim]);
    }
    linear(`${layer}.mlp.gate_proj`, ffn, width, mlpBias);
    linear(`${layer}.mlp.up_proj`, ffn, width, mlpBias);
    linear(`${layer}.mlp.down_proj`, width, ffn, mlpBias);
    shapes.set(`${layer}.input_layernorm.weight`, [width]);
    shapes.set(`${layer}.post_attention_layernorm.weight`, [width]);
  }
  shapes.set('model.norm.weight', [width]);
  if (config['tie_word_embeddings'] !== true) shapes.set('lm_head.weight', [vocab, width]);
  return shapes;
}

/**
 * f32 values of one tensor, row-major: norms around 1, all else around 0 with a spread that keeps activations near 1.
 * LoRA factors (`...lora_A.weight`, `...lora_B.weight`) are both non-zero.
 */
export function tinyWeight(seed: number, name: string, shape: readonly number[]): Float32Array {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  const key = hashKey(seed, name);
  let centre = 0;
  let spread = 3 / Math.sqrt(shape.at(-1) ?? 1);
  if (/(norm|ln_[a-z0-9]+)\.weight$/.test(name)) {
    centre = 1;
    spread = 0.5;
  } else if (name.endsWith('.bias')) spread = 0.5;
  else if (name.endsWith('embed_tokens.weight')) spread = 2;
  else if (name.endsWith('lora_B.weight')) spread = 0.2;
  for (let i = 0; i < values.length; i++) values[i] = centre + spread * (mix32(key, i) / 4_294_967_296 - 0.5);
  return values;
}
