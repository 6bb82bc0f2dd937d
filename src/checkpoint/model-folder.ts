/** A Hugging Face model folder opened: its config understood, its weights checked against it and ready to be mapped. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError, FormatError, UnsupportedError } from '../errors.ts';
import {
  type Checkpoint,
  isFloatDtype,
  openCheckpoint,
  readJsonObject,
  type RemoteFiles,
  type StoredDtype,
  type TensorEntry,
  withModelNames,
} from '../formats/index.ts';
import type { QuantizedLayout } from '../graph/index.ts';
import { type Model, readModel, withVocabulary } from '../models/index.ts';
import type { WeightLocator } from '../runtime/index.ts';
import {
  addCodeLocations,
  integerHead,
  integerProducts,
  integerQuantization,
  type IntegerForm,
} from './integer-weights.ts';
import { publishedCodes } from './published-codes.ts';
import { type CodeLocations, layoutFor, quantizableWeights, type Quantization } from './quantization.ts';
import { type OnCodes, quantizedTensors } from './quantized-cache.ts';
import type { FloatWeight, StoredWeight } from '../tuning/index.ts';

export interface ModelFolder {
  readonly folder: string;
  readonly model: Model;
  readonly checkpoint: Checkpoint;
  /** The model's own parameters as programs see them, by name. */
  readonly stored: ReadonlyMap<string, StoredWeight>;
  /** Parts of weights that the folder holds in codes. */
  readonly codes: CodeLocations;
  /** How weights that the folder holds as floats become codes, and which. */
  readonly quantized: { readonly how: Quantization; readonly entries: readonly TensorEntry[] } | undefined;
}

const dtypes: Partial<Record<StoredDtype, FloatWeight['dtype']>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
};

/**
 * Opens a folder with `config.json` and safetensors; reads headers only. Weights that the folder holds in codes stay so.
 * @param quantization keeps the weights of linear modules in codes, made when the weights are opened.
 * @param form takes their products in integers, of bytes that are made then too.
 * @param remote files of weights that are not in the folder: the model can be planned, its weights not be opened.
 * @throws FormatError where a parameter is missing, has another shape or a dtype that is no float; UnsupportedError for
 *   a model type or setting that is not known.
 */
export async function openModelFolder(
  folder: string,
  quantization?: Quantization,
  form?: IntegerForm,
  remote?: RemoteFiles,
): Promise<ModelFolder> {
  await requireModelFolder(folder);
  const configFile = join(folder, 'config.json');
  const model = readModel(configFile, await readJsonObject(configFile));
  const checkpoint = withModelNames(await openCheckpoint(folder, remote));
  const stored = new Map<string, StoredWeight>();
  const missing: string[] = [];
  const quantizable = quantizableWeights(model);
  const codes: CodeLocations = new Map();
  const entries: TensorEntry[] = [];
  const how = form ? integerQuantization : quantization;
  for (const { name, shape } of model.parameters) {
    const entry = checkpoint.tensors.get(name);
    if (!entry) {
      missing.push(name);
      continue;
    }
    const published = quantizable.all.has(name) && (await publishedCodes(checkpoint, name, linearShape(shape), codes));
    if (published) {
      if (form && published.dtype !== 'int8') throw new UnsupportedError('integers-of-four-bits', { folder });
      const integer = form && { ...integerProducts(form), bothWays: false };
      stored.set(name, published.dtype === 'int8' && integer ? { ...published, integer } : published);
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
    if (how && quantizable.ours.has(name)) {
      const layout = layoutFor(shape, how);
      stored.set(name, form && layout.dtype === 'int8' ? { ...layout, integer: integerProducts(form) } : layout);
      entries.push(entry);
    } else stored.set(name, { dtype, shape });
  }
  if (missing.length > 0) {
    throw new FormatError('parameters-missing', { file: folder, modelType: model.modelType, missing });
  }
  if ((how || codes.size > 0) && model.linearModules.some(({ transposed }) => transposed)) {
    const key = form ? 'compute' : 'quantization_bit';
    throw new UnsupportedError('quantization-transposed', { folder, modelType: model.modelType, key });
  }
  const head = form && integerHead(model, form, stored, checkpoint);
  if (head) {
    stored.set(head.entry.name, head.layout);
    entries.push(head.entry);
  }
  const quantized = how && entries.length > 0 ? { how, entries } : undefined;
  return { folder, model, checkpoint, stored, codes, quantized };
}

/** @throws ConfigError `model-folder-missing` */
async function requireModelFolder(folder: string): Promise<void> {
  const isFolder = await stat(folder).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) throw new ConfigError('model-folder-missing', { folder });
}

function linearShape(shape: readonly number[]): readonly [number, number] {
  return [shape[0]!, shape[1]!];
}

/** The folder's model with `rows` token ids; the rows that its weights lack must come from the tuning method. */
export function withVocabularyRows(folder: ModelFolder, rows: number): ModelFolder {
  return { ...folder, model: withVocabulary(folder.model, rows) };
}

/**
 * Where the runtime finds the bytes of a weight. Weights that are to be quantised are so now, if no earlier start did.
 * @param onCodes hears how much of that is done.
 * @throws FileError where the cache cannot be written; FormatError `tensor-not-finite`.
 */
export async function openWeights(
  { checkpoint, codes, quantized, stored }: ModelFolder,
  onCodes?: OnCodes,
): Promise<WeightLocator> {
  const locations: CodeLocations = new Map(codes);
  if (quantized) {
    const tensors = await quantizedTensors(quantized.entries, quantized.how, onCodes);
    const cached: Checkpoint = { ...checkpoint, tensors };
    for (const { name } of quantized.entries) {
      await addCodeLocations(cached, name, stored.get(name) as QuantizedLayout, locations);
    }
  }
  return (name) => locations.get(name) ?? checkpoint.tensors.get(name)!;
}
