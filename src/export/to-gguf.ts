/**
 * A model folder, with adapters merged in, as one GGUF file that llama.cpp loads: names and metadata as its convert_hf_to_gguf.py
 * writes them for llama, mistral, qwen2 and qwen3. Matrices are stored in the type asked for, vectors in f32.
 */
import { basename, join, resolve } from 'node:path';
import { FormatError, UnsupportedError } from '../errors.ts';
import {
  elementCount,
  type GgmlType,
  ggmlBlock,
  type GgufTensor,
  type GgufValue,
  isJsonObject,
  loadTokenizerFolder,
  openPeftAdapter,
  quantizeGgml,
  readJsonObject,
  type JsonObject,
  type TensorSource,
  writeGguf,
} from '../formats/index.ts';
import { openModelFolder } from '../checkpoint/index.ts';
import type { Model } from '../models/index.ts';
import { inverseFrequencies } from '../nn/index.ts';
import { createTokenizer } from '../tokenizer/index.ts';
import { ggufTokenizer } from './gguf-tokenizer.ts';
import { isHeadStillTied, mergedTensors } from './merge.ts';
import { planMerge } from './merge-plan.ts';

/** What `exportGguf` reads and where it writes. */
export interface ExportGgufOptions {
  /** A model's folder. */
  readonly model: string;
  /** Adapter folders, merged in this order. */
  readonly adapters?: readonly string[];
  /** The `.gguf` file. */
  readonly output: string;
  /** How matrices are stored; `q4_0` keeps embedding and head in `q8_0`. */
  readonly type: GgmlType;
  readonly onProgress?: (progress: { readonly tensor: string; readonly bytesWritten: number }) => void;
}

/** What an export left. */
export interface ExportGgufResult {
  readonly bytes: number;
  /** Number of tensors of each type in the file. */
  readonly tensors: Readonly<Partial<Record<GgmlType, number>>>;
}

/** `general.file_type` of llama.cpp. */
const fileTypes: Readonly<Record<GgmlType, number>> = { f32: 0, f16: 1, q4_0: 2, q8_0: 7, bf16: 32 };

const layerNames: Readonly<Record<string, string>> = {
  input_layernorm: 'attn_norm',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  post_attention_layernorm: 'ffn_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};

/** llama.cpp's name of a tensor, or undefined for one that it computes itself. */
function ggufName(name: string): string | undefined {
  if (name === 'model.embed_tokens.weight') return 'token_embd.weight';
  if (name === 'model.norm.weight') return 'output_norm.weight';
  if (name === 'lm_head.weight') return 'output.weight';
  const layer = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name);
  const own = layer && Object.hasOwn(layerNames, layer[2]!) ? layerNames[layer[2]!] : undefined;
  return layer && own !== undefined ? `blk.${layer[1]}.${own}.${layer[3]}` : undefined;
}

/**
 * Rows from Hugging Face's half-split order to pairs side by side, as llama.cpp's `llama` turns them.
 * @param matrix f32[heads*E, columns], or a bias f32[heads*E]
 */
export function toInterleavedRows(matrix: Float32Array, heads: number, columns: number): Float32Array {
  const headRows = matrix.length / columns / heads;
  const half = headRows / 2;
  const result = new Float32Array(matrix.length);
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < headRows; row++) {
      const source = (head * headRows + (row % 2 === 0 ? row / 2 : half + (row - 1) / 2)) * columns;
      result.set(matrix.subarray(source, source + columns), (head * headRows + row) * columns);
    }
  }
  return result;
}

/** The f32 chunks of a tensor that is made in f32. */
async function* floatChunks(source: TensorSource): AsyncGenerator<Float32Array> {
  for await (const chunk of source.chunks()) {
    yield new Float32Array(chunk.buffer, chunk.byteOffset, chunk.byteLength / 4);
  }
}

async function wholeTensor(source: TensorSource): Promise<Float32Array> {
  const whole = new Float32Array(elementCount(source.shape));
  let position = 0;
  for await (const chunk of floatChunks(source)) {
    whole.set(chunk, position);
    position += chunk.length;
  }
  return whole;
}

/** How one tensor is stored: vectors in f32; what does not divide into blocks in f16. */
function storedType(name: string, shape: readonly number[], asked: GgmlType): GgmlType {
  if (shape.length < 2) return 'f32';
  const outer = name === 'token_embd.weight' || name === 'output.weight';
  const type = outer && asked === 'q4_0' ? 'q8_0' : asked;
  return shape.at(-1)! % ggmlBlock(type) === 0 ? type : 'f16';
}

function ggufTensor(source: TensorSource, name: string, asked: GgmlType, turnedHeads: number | undefined): GgufTensor {
  const type = storedType(name, source.shape, asked);
  const columns = source.shape.length < 2 ? 1 : source.shape.at(-1)!;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    if (turnedHeads === undefined) for await (const chunk of floatChunks(source)) yield quantizeGgml(chunk, type);
    else yield quantizeGgml(toInterleavedRows(await wholeTensor(source), turnedHeads, columns), type);
  }
  return { name, type, shape: source.shape, chunks };
}

/** Heads whose rows llama.cpp wants side by side; only its `llama` turns neighbours, the others halves. */
function turnedHeads(name: string, model: Model, architecture: string): number | undefined {
  if (architecture !== 'llama') return undefined;
  if (name.includes('self_attn.q_proj.')) return model.headCount;
  return name.includes('self_attn.k_proj.') ? model.kvHeadCount : undefined;
}

/** llama3's scaled frequencies as divisors of the plain ones. */
function ropeFactors(model: Model): GgufTensor[] {
  const rope = model.ropes[0];
  if (rope?.scaling.type !== 'llama3') return [];
  const plain = inverseFrequencies({ ...rope, scaling: { type: 'default' } }, 0);
  const scaled = inverseFrequencies(rope, 0);
  const factors = plain.map((frequency, i) => frequency / scaled[i]!);
  return [
    {
      name: 'rope_freqs.weight',
      type: 'f32',
      shape: [factors.length],
      *chunks() {
        yield quantizeGgml(factors, 'f32');
      },
    },
  ];
}

function architectureMetadata(
  model: Model,
  rows: number,
  config: JsonObject,
  architecture: string,
): [string, GgufValue][] {
  const number = (key: string, fallback: number): number => {
    const value = config[key];
    return typeof value === 'number' ? value : fallback;
  };
  const { scaling, theta } = model.ropes[0]!;
  // llama.cpp has no window for these: within the window the result is the same.
  const window =
    config['use_sliding_window'] === false
      ? Number.POSITIVE_INFINITY
      : number('sliding_window', Number.POSITIVE_INFINITY);
  const entries: [string, GgufValue][] = [
    ['block_count', { type: 'uint32', value: model.layerCount }],
    ['context_length', { type: 'uint32', value: Math.min(model.maxPositions, window) }],
    ['embedding_length', { type: 'uint32', value: model.hiddenSize }],
    ['feed_forward_length', { type: 'uint32', value: number('intermediate_size', 0) }],
    ['attention.head_count', { type: 'uint32', value: model.headCount }],
    ['attention.head_count_kv', { type: 'uint32', value: model.kvHeadCount }],
    ['attention.key_length', { type: 'uint32', value: model.headDim }],
    ['attention.value_length', { type: 'uint32', value: model.headDim }],
    ['attention.layer_norm_rms_epsilon', { type: 'float32', value: number('rms_norm_eps', 1e-6) }],
    ['rope.dimension_count', { type: 'uint32', value: model.headDim }],
    ['rope.freq_base', { type: 'float32', value: theta }],
    ['vocab_size', { type: 'uint32', value: rows }],
  ];
  if (scaling.type === 'linear') {
    entries.push(['rope.scaling.type', { type: 'string', value: 'linear' }]);
    entries.push(['rope.scaling.factor', { type: 'float32', value: scaling.factor }]);
  }
  return entries.map(([key, value]) => [`${architecture}.${key}`, value]);
}

/** The chat template of a folder: its own file, else the tokenizer config's. */
function chatTemplateOf(files: ReadonlyMap<string, Uint8Array>): string | undefined {
  const decode = (name: string): string | undefined => {
    const bytes = files.get(name);
    return bytes && new TextDecoder().decode(bytes);
  };
  const own = decode('chat_template.jinja');
  if (own !== undefined) return own;
  const config: unknown = JSON.parse(decode('tokenizer_config.json') ?? '{}');
  const template = isJsonObject(config as JsonObject) ? (config as JsonObject)['chat_template'] : undefined;
  return typeof template === 'string' ? template : undefined;
}

/** The tokenizer's files: those of the last adapter that has any, else the model's. */
async function tokenizerFilesOf(options: ExportGgufOptions): Promise<ReadonlyMap<string, Uint8Array>> {
  for (const folder of [...(options.adapters ?? [])].reverse()) {
    try {
      return await loadTokenizerFolder(folder);
    } catch (error) {
      if (!(error instanceof FormatError && error.code === 'tokenizer-missing')) throw error;
    }
  }
  return loadTokenizerFolder(options.model);
}

/**
 * Writes a model, with adapters merged in f32, as one GGUF file.
 * @throws as `exportModel`; UnsupportedError `gguf-unsupported` for dynamic rope scaling or a tensor that llama.cpp
 *   has no name for, `gguf-tokenizer`.
 */
export async function exportGguf(options: ExportGgufOptions): Promise<ExportGgufResult> {
  const configFile = join(options.model, 'config.json');
  const config = await readJsonObject(configFile);
  const { model, checkpoint } = await openModelFolder(options.model);
  const architecture = model.modelType === 'mistral' ? 'llama' : model.modelType;
  if (!['llama', 'qwen2', 'qwen3'].includes(architecture)) {
    throw new UnsupportedError('gguf-unsupported', { file: configFile, what: `model_type "${model.modelType}"` });
  }
  if (model.ropes[0]!.scaling.type === 'dynamic') {
    throw new UnsupportedError('gguf-unsupported', { file: configFile, what: 'dynamic rope scaling' });
  }
  const adapters = [];
  for (const folder of options.adapters ?? []) adapters.push(await openPeftAdapter(folder));
  const plan = planMerge(checkpoint, adapters, model.tiesEmbeddings);
  const without = new Set(plan.partedHead && (await isHeadStillTied(plan)) ? [plan.partedHead.head] : []);
  const tensors = ropeFactors(model);
  for (const source of mergedTensors(plan, 'F32', without)) {
    if (source.name.endsWith('.rotary_emb.inv_freq')) continue;
    const name = ggufName(source.name);
    if (name === undefined) {
      throw new UnsupportedError('gguf-unsupported', { file: options.model, what: `tensor "${source.name}"` });
    }
    tensors.push(ggufTensor(source, name, options.type, turnedHeads(source.name, model, architecture)));
  }
  const files = await tokenizerFilesOf(options);
  const rows = plan.vocabularySize ?? model.vocabularySize;
  const metadata = new Map<string, GgufValue>([
    ['general.architecture', { type: 'string', value: architecture }],
    ['general.type', { type: 'string', value: 'model' }],
    ['general.name', { type: 'string', value: basename(resolve(options.model)) }],
    ['general.file_type', { type: 'uint32', value: fileTypes[options.type] }],
    ['general.quantization_version', { type: 'uint32', value: 2 }],
    ...architectureMetadata(model, rows, config, architecture),
    ...ggufTokenizer(createTokenizer(files), rows, options.model, chatTemplateOf(files)),
  ]);
  const bytes = await writeGguf(options.output, metadata, tensors, ({ name }, bytesWritten) =>
    options.onProgress?.({ tensor: name, bytesWritten }),
  );
  const counts: Partial<Record<GgmlType, number>> = {};
  for (const { type } of tensors) counts[type] = (counts[type] ?? 0) + 1;
  return { bytes, tensors: counts };
}
