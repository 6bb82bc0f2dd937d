/**
 * Random checkpoints whose linear layers are written in 4 bits at once, by the product's own writer: no 16-bit file of the size
 * that the codes save is ever there. Shapes are those of published models.
 */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { codeSources, type Quantization } from '../../src/checkpoint/index.ts';
import { type TensorSource, writeJsonFile, writeOrderedSafetensors } from '../../src/formats/index.ts';
import type { ModelConfigJson } from '../../src/testing/index.ts';
import { hashKey, mix32 } from '../../src/util/index.ts';

/** Llama 3 8B with so many of its 32 layers. */
export function llama8b(layers: number): ModelConfigJson {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    hidden_size: 4096,
    intermediate_size: 14_336,
    num_hidden_layers: layers,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    vocab_size: 128_256,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    rope_theta: 500_000,
    bos_token_id: 128_000,
    eos_token_id: 128_001,
    tie_word_embeddings: false,
    torch_dtype: 'bfloat16',
  };
}

const quantization: Quantization = { bits: 4, type: 'nf4', doubleQuantization: true };

/** Random values that all weights take from, each from a place of its own. */
const poolSize = 24_000_011;
let pool: Float32Array | undefined;

function randomValues(name: string, part: number, count: number): Float32Array {
  if (!pool) {
    pool = new Float32Array(poolSize);
    for (let i = 0; i < poolSize; i++) pool[i] = 0.07 * (mix32(7, i) / 4_294_967_296 - 0.5);
  }
  const begin = hashKey('bench', name, part) % (poolSize - count);
  return pool.subarray(begin, begin + count);
}

/** Rows at a time: 64 rows of 14,336 values are 3.7 MB. */
const rowsAtOnce = 512;

function* parts(rows: number): Generator<[part: number, count: number]> {
  for (let begin = 0; begin < rows; begin += rowsAtOnce) {
    yield [begin / rowsAtOnce, Math.min(rowsAtOnce, rows - begin)];
  }
}

function linear(name: string, outputs: number, inputs: number): TensorSource[] {
  return codeSources(
    {
      file: 'random',
      name,
      dtype: 'BF16',
      shape: [outputs, inputs],
      *rows() {
        for (const [part, count] of parts(outputs)) yield randomValues(name, part, count * inputs);
      },
    },
    quantization,
  );
}

/** A bf16 table: the upper halves of f32 values. */
function table(name: string, rows: number, width: number): TensorSource {
  return {
    name,
    dtype: 'BF16',
    shape: [rows, width],
    *chunks() {
      for (const [part, count] of parts(rows)) {
        const words = new Uint16Array(count * width);
        const bits = new Uint32Array(randomValues(name, part, count * width).slice().buffer);
        for (let i = 0; i < words.length; i++) words[i] = bits[i]! >>> 16;
        yield new Uint8Array(words.buffer);
      }
    },
  };
}

function norm(name: string, width: number): TensorSource {
  return {
    name,
    dtype: 'BF16',
    shape: [width],
    chunks: () => [new Uint8Array(new Uint16Array(width).fill(0x3f80).buffer)],
  };
}

/** The folder of a random 4-bit checkpoint, written now if it is not there yet. */
export async function fourBitModel(config: ModelConfigJson, folder: string): Promise<string> {
  const file = join(folder, 'model.safetensors');
  if (existsSync(file)) return folder;
  await mkdir(folder, { recursive: true });
  const number = (key: string): number => config[key] as number;
  const width = number('hidden_size');
  const inner = number('intermediate_size');
  const keys = (width / number('num_attention_heads')) * number('num_key_value_heads');
  const sources: TensorSource[] = [table('model.embed_tokens.weight', number('vocab_size'), width)];
  for (let layer = 0; layer < number('num_hidden_layers'); layer++) {
    const prefix = `model.layers.${layer}`;
    sources.push(
      norm(`${prefix}.input_layernorm.weight`, width),
      norm(`${prefix}.post_attention_layernorm.weight`, width),
      ...linear(`${prefix}.self_attn.q_proj.weight`, width, width),
      ...linear(`${prefix}.self_attn.k_proj.weight`, keys, width),
      ...linear(`${prefix}.self_attn.v_proj.weight`, keys, width),
      ...linear(`${prefix}.self_attn.o_proj.weight`, width, width),
      ...linear(`${prefix}.mlp.gate_proj.weight`, inner, width),
      ...linear(`${prefix}.mlp.up_proj.weight`, inner, width),
      ...linear(`${prefix}.mlp.down_proj.weight`, width, inner),
    );
  }
  sources.push(norm('model.norm.weight', width), table('lm_head.weight', number('vocab_size'), width));
  await writeOrderedSafetensors(file, sources);
  await writeJsonFile(join(folder, 'config.json'), config);
  return folder;
}
