/** Llama models of random weights with a byte-level vocabulary of their own: what the demo and the examples train from nothing. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tensorFromValues, writeCheckpoint } from '../../src/formats/index.ts';
import { RandomStream } from '../../src/util/index.ts';
import type { Bpe } from './train-bpe.ts';

/** Ids 0, 1, 2. Padding is never an end token, so that the end token is trained. */
export const specialTokens = ['<|pad|>', '<|im_start|>', '<|im_end|>'] as const;

/** ChatML, as https://github.com/openai/openai-python/blob/v0.28.1/chatml.md has it. */
export const chatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Spread of the random weights: that of a trained model of this width, roughly. */
export const initialSpread = 0.05;

export interface LlamaShape {
  readonly vocabulary: number;
  readonly width: number;
  readonly ffn: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
}

/** `config.json` of a Llama with these tokens and 512 positions. */
export function llamaConfig(shape: LlamaShape, dtype: 'float32' | 'bfloat16' = 'float32'): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: shape.vocabulary,
    hidden_size: shape.width,
    intermediate_size: shape.ffn,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    hidden_act: 'silu',
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    attention_bias: false,
    tie_word_embeddings: true,
    initializer_range: initialSpread,
    bos_token_id: null,
    eos_token_id: 2,
    pad_token_id: 0,
    torch_dtype: dtype,
  };
}

/** Names and shapes of all weights, as transformers has them. */
export function llamaParameters(shape: LlamaShape): [name: string, shape: number[]][] {
  const { width, ffn } = shape;
  const kvWidth = (width / shape.heads) * shape.kvHeads;
  const list: [string, number[]][] = [['model.embed_tokens.weight', [shape.vocabulary, width]]];
  for (let layer = 0; layer < shape.layers; layer++) {
    const of = (name: string): string => `model.layers.${layer}.${name}.weight`;
    list.push(
      [of('input_layernorm'), [width]],
      [of('self_attn.q_proj'), [width, width]],
      [of('self_attn.k_proj'), [kvWidth, width]],
      [of('self_attn.v_proj'), [kvWidth, width]],
      [of('self_attn.o_proj'), [width, width]],
      [of('post_attention_layernorm'), [width]],
      [of('mlp.gate_proj'), [ffn, width]],
      [of('mlp.up_proj'), [ffn, width]],
      [of('mlp.down_proj'), [width, ffn]],
    );
  }
  list.push(['model.norm.weight', [width]]);
  return list;
}

/** Writes `config.json` and `model.safetensors`: normal weights, norms at one. `keyOf` gives the random numbers of a weight. */
export async function writeRandomLlama(
  folder: string,
  shape: LlamaShape,
  keyOf: (name: string) => number,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors = llamaParameters(shape).map(([name, sizes]) => {
    const random = new RandomStream(keyOf(name));
    const count = sizes.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, () =>
      sizes.length === 1 ? 1 : random.nextNormal() * initialSpread,
    );
    return tensorFromValues(name, sizes, values, 'F32');
  });
  await writeCheckpoint(folder, tensors, Number.POSITIVE_INFINITY);
  await writeFile(join(folder, 'config.json'), `${JSON.stringify(llamaConfig(shape), null, 2)}\n`);
}

/** `tokenizer.json` and `tokenizer_config.json` of byte-level pieces behind the special tokens, as text. */
export function byteLevelTokenizer({ pieces, merges }: Bpe): Record<string, string> {
  const vocab = Object.fromEntries([...specialTokens, ...pieces].map((piece, id) => [piece, id]));
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({ id, content, ...flags })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: merges.map((pair) => pair.join(' ')),
    },
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    added_tokens_decoder: Object.fromEntries(specialTokens.map((content, id) => [String(id), { content, ...flags }])),
    bos_token: null,
    eos_token: '<|im_end|>',
    pad_token: '<|pad|>',
    unk_token: null,
    additional_special_tokens: ['<|im_start|>'],
    add_bos_token: false,
    clean_up_tokenization_spaces: false,
    model_max_length: 512,
    chat_template: chatTemplate,
  };
  return {
    'tokenizer.json': `${JSON.stringify(tokenizer, null, 1)}\n`,
    'tokenizer_config.json': `${JSON.stringify(config, null, 2)}\n`,
  };
}
