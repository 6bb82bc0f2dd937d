/** Random checkpoints of the shapes that the benchmarks are about. Written once into a cache folder outside the repository. */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FloatDtype } from '../../src/formats/index.ts';
import { type ModelConfigJson, writeTinyModel } from '../../src/testing/index.ts';
import { hashKey, mix32 } from '../../src/util/index.ts';

const common = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  bos_token_id: 1,
  eos_token_id: 2,
} as const;

/** Llama 3.2's smaller model. */
const oneBillion: ModelConfigJson = {
  ...common,
  max_position_embeddings: 131_072,
  rope_theta: 500_000,
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 16,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 128_256,
  tie_word_embeddings: true,
};

/** config.json of each shape, by its name on the command line. */
export const benchShapes: Readonly<Record<'135m' | '1.1b' | '1b' | '1b-2-layers' | 'experts', ModelConfigJson>> = {
  '135m': {
    ...common,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    vocab_size: 49_152,
    tie_word_embeddings: true,
  },
  '1.1b': {
    ...common,
    hidden_size: 2048,
    intermediate_size: 5632,
    num_hidden_layers: 22,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    vocab_size: 32_000,
    tie_word_embeddings: false,
  },
  '1b': oneBillion,
  /** The same with two of its sixteen layers, for times. */
  '1b-2-layers': { ...oneBillion, num_hidden_layers: 2 },
  /** Qwen 3 with routed experts, small. */
  experts: {
    ...common,
    architectures: ['Qwen3MoeForCausalLM'],
    model_type: 'qwen3_moe',
    hidden_size: 512,
    intermediate_size: 1536,
    moe_intermediate_size: 512,
    num_experts: 16,
    num_experts_per_tok: 4,
    norm_topk_prob: true,
    decoder_sparse_step: 1,
    mlp_only_layers: [],
    num_hidden_layers: 6,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 64,
    vocab_size: 8192,
    tie_word_embeddings: true,
  },
};

export type BenchShape = keyof typeof benchShapes;

/** Where checkpoints go when no folder is given. */
export const defaultCacheFolder = join(tmpdir(), 'fettle-bench');

/** Tensors of the shape with routed experts. */
function expertShapes(config: ModelConfigJson): Map<string, readonly number[]> {
  const number = (key: string): number => config[key] as number;
  const width = number('hidden_size');
  const inner = number('moe_intermediate_size');
  const head = number('head_dim');
  const keys = head * number('num_key_value_heads');
  const shapes = new Map<string, readonly number[]>([
    ['model.embed_tokens.weight', [number('vocab_size'), width]],
    ['model.norm.weight', [width]],
  ]);
  for (let layer = 0; layer < number('num_hidden_layers'); layer++) {
    const put = (name: string, shape: readonly number[]) => shapes.set(`model.layers.${layer}.${name}.weight`, shape);
    put('input_layernorm', [width]);
    put('post_attention_layernorm', [width]);
    put('self_attn.q_proj', [width, width]);
    put('self_attn.k_proj', [keys, width]);
    put('self_attn.v_proj', [keys, width]);
    put('self_attn.o_proj', [width, width]);
    put('self_attn.q_norm', [head]);
    put('self_attn.k_norm', [head]);
    put('mlp.gate', [number('num_experts'), width]);
    for (let expert = 0; expert < number('num_experts'); expert++) {
      put(`mlp.experts.${expert}.gate_proj`, [inner, width]);
      put(`mlp.experts.${expert}.up_proj`, [inner, width]);
      put(`mlp.experts.${expert}.down_proj`, [width, inner]);
    }
  }
  return shapes;
}

/** Values as a fresh model has them: norms 1, all else around 0 with a standard deviation of 0.02. */
function freshWeight(name: string, shape: readonly number[]): Float32Array {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  if (name.endsWith('norm.weight')) return values.fill(1);
  const key = hashKey('bench', name);
  const spread = 0.02 * Math.sqrt(12);
  for (let i = 0; i < values.length; i++) values[i] = spread * (mix32(key, i) / 4_294_967_296 - 0.5);
  return values;
}

/** The folder of a random checkpoint, written now if it is not there yet. */
export async function benchModel(shape: BenchShape, dtype: FloatDtype, cacheFolder: string): Promise<string> {
  const folder = join(cacheFolder, `${shape}-${dtype.toLowerCase()}`);
  if (!existsSync(join(folder, 'model.safetensors'))) {
    process.stderr.write(`writing ${folder}\n`);
    const names = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };
    await writeTinyModel(folder, {
      config: { ...benchShapes[shape], torch_dtype: names[dtype] },
      seed: 1,
      dtype,
      weights: freshWeight,
      ...(shape === 'experts' ? { shapes: expertShapes(benchShapes[shape]) } : {}),
    });
  }
  return folder;
}
