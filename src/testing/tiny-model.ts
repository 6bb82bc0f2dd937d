/** Writes a Hugging Face folder of a tiny random model: config.json and safetensors, no tokenizer. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type FloatDtype,
  tensorFromValues,
  type TensorSource,
  writeCheckpoint,
  writeJsonFile,
} from '../formats/index.ts';
import { type ModelConfigJson, type TensorShapes, tinyModelShapes, tinyWeight } from './tiny-weights.ts';

/** What tiny model to write. */
export interface TinyModel {
  /** A `config.json` in either of Hugging Face's forms. */
  readonly config: ModelConfigJson;
  /** Names and shapes of its tensors; left out: those of llama, mistral, qwen2 and qwen3 by the config. */
  readonly shapes?: TensorShapes;
  /** Equal seeds give equal weights. */
  readonly seed: number;
  /** Left out: what `dtype` or `torch_dtype` of the config says, else F32. */
  readonly dtype?: FloatDtype;
  /** f32 values of a tensor; left out: `tinyWeight` with the seed. */
  readonly weights?: (name: string, shape: readonly number[]) => Float32Array;
  /** At least this many files; left out: one. */
  readonly shards?: number;
}

const dtypeNames: Readonly<Record<string, FloatDtype>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' };

function dtypeOf(config: ModelConfigJson): FloatDtype {
  const name = config['dtype'] ?? config['torch_dtype'] ?? 'float32';
  const dtype = typeof name === 'string' ? dtypeNames[name] : undefined;
  if (dtype === undefined) {
    throw new TypeError(`tiny model: config.dtype must be one of ${Object.keys(dtypeNames).join(', ')}`);
  }
  return dtype;
}

/**
 * Writes the model into `folder` (made where it is missing).
 * @returns the names of the weight files
 * @throws TypeError for a config that lacks a size; what `writeCheckpoint` throws.
 */
export async function writeTinyModel(folder: string, model: TinyModel): Promise<string[]> {
  const weights = model.weights ?? ((name: string, shape: readonly number[]) => tinyWeight(model.seed, name, shape));
  const dtype = model.dtype ?? dtypeOf(model.config);
  await mkdir(folder, { recursive: true });
  await writeJsonFile(join(folder, 'config.json'), model.config);
  const tensors = [...(model.shapes ?? tinyModelShapes(model.config))].map(([name, shape]): TensorSource => ({
    name,
    dtype,
    shape,
    // Made when its turn comes, so that a model of benchmark size needs the memory of one tensor.
    chunks: () => tensorFromValues(name, shape, weights(name, shape), dtype).chunks(),
  }));
  const bytes = tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, dtype === 'F32' ? 4 : 2), 0);
  return writeCheckpoint(folder, tensors, model.shards === undefined ? undefined : Math.floor(bytes / model.shards));
}
