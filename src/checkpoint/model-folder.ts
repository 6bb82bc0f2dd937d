/** A Hugging Face model folder opened: its config understood, its weights checked against it and ready to be mapped. */
import { join } from 'node:path';
import { FormatError } from '../errors.ts';
import {
  type Checkpoint,
  isFloatDtype,
  openCheckpoint,
  readJsonObject,
  type StoredDtype,
  withModelNames,
} from '../formats/index.ts';
import { type Model, readModel } from '../models/index.ts';
import type { WeightLocator } from '../runtime/index.ts';
import type { FloatWeight, StoredWeight } from '../tuning/index.ts';

export interface ModelFolder {
  readonly folder: string;
  readonly model: Model;
  readonly checkpoint: Checkpoint;
  /** The model's own parameters, by name. */
  readonly stored: ReadonlyMap<string, StoredWeight>;
}

const dtypes: Partial<Record<StoredDtype, FloatWeight['dtype']>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
};

/**
 * Opens a folder with `config.json` and safetensors; reads headers only.
 * @throws FormatError where a parameter is missing, has another shape or a dtype that is no float; UnsupportedError for
 *   a model type or setting that is not known.
 */
export async function openModelFolder(folder: string): Promise<ModelFolder> {
  const configFile = join(folder, 'config.json');
  const model = readModel(configFile, await readJsonObject(configFile));
  const checkpoint = withModelNames(await openCheckpoint(folder));
  const stored = new Map<string, StoredWeight>();
  const missing: string[] = [];
  for (const { name, shape } of model.parameters) {
    const entry = checkpoint.tensors.get(name);
    if (!entry) {
      missing.push(name);
      continue;
    }
    if (entry.shape.length !== shape.length || entry.shape.some((size, i) => size !== shape[i])) {
      throw new FormatError('parameter-shape', {
        file: entry.file,
        tensor: name,
        expected: shape,
        actual: entry.shape,
      });
    }
    const dtype = isFloatDtype(entry.dtype) ? dtypes[entry.dtype] : undefined;
    if (!dtype) {
      throw new FormatError('tensor-dtype', {
        file: entry.file,
        tensor: name,
        dtype: entry.dtype,
        allowed: Object.keys(dtypes),
      });
    }
    stored.set(name, { dtype, shape });
  }
  if (missing.length > 0) {
    throw new FormatError('parameters-missing', { file: folder, modelType: model.modelType, missing });
  }
  return { folder, model, checkpoint, stored };
}

/** Where the runtime finds the bytes of a weight. */
export function weightLocator({ checkpoint }: ModelFolder): WeightLocator {
  return (name) => checkpoint.tensors.get(name)!;
}
