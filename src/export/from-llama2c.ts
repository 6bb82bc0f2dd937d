/**
 * Turns a llama2.c model into a Hugging Face folder: config.json, model.safetensors, tokenizer.json, tokenizer_config.json. The weights
 * keep their f32 values; only the rows of wq and wk move, from rotary pairs side by side to the half-split order.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Llama2cCheckpoint,
  openLlama2cCheckpoint,
  readLlama2cTokenizer,
  readTensor,
  type TensorEntry,
  type TensorSource,
  writeCheckpoint,
  writeFileAtomically,
} from '../formats/index.ts';
import { llama2cTokenizerJson } from '../tokenizer/index.ts';

/** What `convertLlama2c` reads and where it writes. */
export interface ConvertLlama2cOptions {
  /** llama2.c's checkpoint, legacy layout (`.bin`). */
  readonly checkpoint: string;
  /** Its tokenizer (`.bin`). */
  readonly tokenizer: string;
  /** The folder to write. */
  readonly output: string;
}

/** Names in a Hugging Face Llama of the tensors that each layer has, and whether rotary embedding turns their rows. */
const layerTensors = [
  ['att_norm', 'input_layernorm', false],
  ['wq', 'self_attn.q_proj', true],
  ['wk', 'self_attn.k_proj', true],
  ['wv', 'self_attn.v_proj', false],
  ['wo', 'self_attn.o_proj', false],
  ['ffn_norm', 'post_attention_layernorm', false],
  ['w1', 'mlp.gate_proj', false],
  ['w2', 'mlp.down_proj', false],
  ['w3', 'mlp.up_proj', false],
] as const;

/** One layer of a tensor that is stacked over layers. */
function layerOf(entry: TensorEntry, layer: number, layers: number): TensorEntry {
  const length = entry.length / layers;
  return { ...entry, shape: entry.shape.slice(1), offset: entry.offset + layer * length, length };
}

/**
 * Rows from llama2.c's order (pair i of a head is rows 2i and 2i+1) to Hugging Face's (rows i and i+E/2).
 * @param matrix f32[heads*E, columns]
 */
export function toHalfSplitRows(matrix: Float32Array, heads: number, columns: number): Float32Array {
  const headRows = matrix.length / columns / heads;
  const half = headRows / 2;
  const result = new Float32Array(matrix.length);
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < headRows; row++) {
      const source = (head * headRows + (row < half ? 2 * row : 2 * (row - half) + 1)) * columns;
      result.set(matrix.subarray(source, source + columns), (head * headRows + row) * columns);
    }
  }
  return result;
}

function weightSources({ shape, tensors, tiedHead }: Llama2cCheckpoint): TensorSource[] {
  const source = (name: string, entry: TensorEntry, rotaryHeads?: number): TensorSource => ({
    name: `${name}.weight`,
    dtype: 'F32',
    shape: entry.shape,
    async *chunks() {
      const values = await readTensor(entry);
      const rows = rotaryHeads === undefined ? values : toHalfSplitRows(values, rotaryHeads, shape.dim);
      yield new Uint8Array(rows.buffer);
    },
  });
  const sources = [source('model.embed_tokens', tensors.get('tok_emb')!)];
  for (let layer = 0; layer < shape.layers; layer++) {
    for (const [from, to, rotary] of layerTensors) {
      const heads = from === 'wk' ? shape.kvHeads : shape.heads;
      const entry = layerOf(tensors.get(from)!, layer, shape.layers);
      sources.push(source(`model.layers.${layer}.${to}`, entry, rotary ? heads : undefined));
    }
  }
  sources.push(source('model.norm', tensors.get('final_norm')!));
  if (!tiedHead) sources.push(source('lm_head', tensors.get('head')!));
  return sources;
}

function modelConfig({ shape, tiedHead }: Llama2cCheckpoint): object {
  return {
    architectures: ['LlamaForCausalLM'],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: 1,
    eos_token_id: 2,
    head_dim: shape.dim / shape.heads,
    hidden_act: 'silu',
    hidden_size: shape.dim,
    initializer_range: 0.02,
    intermediate_size: shape.hiddenDim,
    max_position_embeddings: shape.sequenceLength,
    mlp_bias: false,
    model_type: 'llama',
    num_attention_heads: shape.heads,
    num_hidden_layers: shape.layers,
    num_key_value_heads: shape.kvHeads,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_scaling: null,
    rope_theta: 10000,
    tie_word_embeddings: tiedHead,
    torch_dtype: 'float32',
    use_cache: true,
    vocab_size: shape.vocabSize,
  };
}

/** The first three tokens; `formats` gives the other pieces, `tokenizer` their merges. */
const specialPieces = ['<unk>', '<s>', '</s>'] as const;

function tokenizerConfig(sequenceLength: number): object {
  const token = (content: string): object => ({
    content,
    lstrip: false,
    normalized: false,
    rstrip: false,
    single_word: false,
    special: true,
  });
  return {
    add_bos_token: true,
    add_eos_token: false,
    added_tokens_decoder: Object.fromEntries(specialPieces.map((content, id) => [id, token(content)])),
    bos_token: '<s>',
    clean_up_tokenization_spaces: false,
    eos_token: '</s>',
    model_max_length: sequenceLength,
    tokenizer_class: 'PreTrainedTokenizerFast',
    unk_token: '<unk>',
  };
}

function jsonText(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/**
 * Converts a llama2.c checkpoint and tokenizer to a Hugging Face folder. The weights are streamed: a matrix at a time in memory. Both
 * inputs are checked before anything is written; where writing fails, what was written is removed.
 * @returns the files written
 * @throws FileError, FormatError as the readers do; FileError `disk-full`
 */
export async function convertLlama2c(options: ConvertLlama2cOptions): Promise<string[]> {
  const checkpoint = await openLlama2cCheckpoint(options.checkpoint);
  const pieces = await readLlama2cTokenizer(options.tokenizer, checkpoint.shape.vocabSize);
  const tokenizer = llama2cTokenizerJson(pieces, options.tokenizer);
  const texts: [string, string][] = [
    ['tokenizer.json', tokenizer],
    ['tokenizer_config.json', jsonText(tokenizerConfig(checkpoint.shape.sequenceLength))],
    ['config.json', jsonText(modelConfig(checkpoint))],
  ];
  const written: string[] = [];
  try {
    written.push(...(await writeCheckpoint(options.output, weightSources(checkpoint))));
    for (const [name, value] of texts) {
      await writeFileAtomically(join(options.output, name), value);
      written.push(name);
    }
  } catch (error) {
    for (const name of written) await rm(join(options.output, name), { force: true });
    throw error;
  }
  return written;
}
