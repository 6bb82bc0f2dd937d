/** Weights whose products are taken in integers (`compute`): how each form takes them, and where their bytes lie. */
import type { Checkpoint, TensorEntry } from '../formats/index.ts';
import type { IntegerProducts, QuantizedLayout } from '../graph/index.ts';
import type { Model } from '../models/index.ts';
import { integerHeadName, isQuantized, type StoredWeight } from '../tuning/index.ts';
import { partOf, publishedCodes } from './published-codes.ts';
import { type CodeLocations, type Quantization, turnedName } from './quantization.ts';

/** How products with frozen weights are taken in integers: `int8` rounds x once, `int8_careful` keeps what that leaves. */
export type IntegerForm = 'int8' | 'int8_careful';

/** The bytes that integer products read: one scale for each row, laid out for both directions. */
export const integerQuantization: Quantization = { bits: 8, type: 'nf4', doubleQuantization: false, bothWays: true };

/** How a form takes the products of linear modules. Gradients have one byte in both: their errors average out over a batch. */
export function integerProducts(form: IntegerForm): IntegerProducts {
  return { terms: form === 'int8' ? 1 : 2, gradient: 1, bothWays: true };
}

/**
 * The output layer's weight in bytes, where the form wants it: its own, or the embedding table. Its gradient is taken in f32: small
 * probabilities, which count together, would round to nothing.
 */
export function integerHead(
  model: Model,
  form: IntegerForm,
  stored: ReadonlyMap<string, StoredWeight>,
  { tensors }: Checkpoint,
): { readonly layout: QuantizedLayout; readonly entry: TensorEntry } | undefined {
  const source = `${model.tiesEmbeddings ? model.inputEmbedding : model.outputModule}.weight`;
  const weight = stored.get(source);
  const entry = tensors.get(source);
  if (form !== 'int8' || !weight || isQuantized(weight) || !entry) return undefined;
  const [outputs, inputs] = weight.shape as [number, number];
  const gradient = { name: source, dtype: weight.dtype };
  return {
    layout: { dtype: 'int8', shape: [outputs, inputs], integer: { terms: 1, gradient, bothWays: true } },
    entry: { ...entry, name: integerHeadName(model.outputModule) },
  };
}

/** Adds where the parts of a weight in bytes lie. */
export async function addCodeLocations(
  checkpoint: Checkpoint,
  name: string,
  { shape, ...layout }: QuantizedLayout,
  locations: CodeLocations,
): Promise<void> {
  await publishedCodes(checkpoint, name, shape, locations);
  if (layout.dtype !== 'int8' || !layout.integer?.bothWays) return;
  const turned = turnedName(name);
  locations.set(turned, partOf(checkpoint, turned, ['I8'], shape[0] * shape[1]));
}
