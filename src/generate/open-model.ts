/** A model folder and its adapters, made ready for decoding: nothing moves, every adapter's matrices are inputs. */
import {
  type BlockBits,
  fitAdapter,
  type FittedAdapter,
  openBlockCodes,
  openModelFolder,
  type Quantization,
  withVocabularyRows,
} from '../checkpoint/index.ts';
import { UnsupportedError } from '../errors.ts';
import type { Model } from '../models/index.ts';
import type { CompileOptions } from '../runtime/index.ts';
import { frozenAdapterPrefix, frozenMethod, loraMethod, loraNames } from '../tuning/index.ts';
import { Decoder, type FixedTensors } from './decoder.ts';

/** A decoder with what its user must know of the model. */
export interface OpenedModel {
  readonly model: Model;
  readonly decoder: Decoder;
}

/** The matrices of an adapter below the last one. Only LoRA pairs can lie on top of one another. */
function pairsBelow({ folder, modules, values, savedModules, tokenRows }: FittedAdapter, index: number): FixedTensors {
  if (savedModules.length + tokenRows.embedding.length + tokenRows.output.length > 0)
    throw new UnsupportedError('adapter-below', { folder });
  const prefix = frozenAdapterPrefix(index);
  return new Map(
    modules.flatMap(({ name, rank, inputs, outputs }) => {
      const names = loraNames(name);
      return [
        [prefix + names.a, { shape: [rank, inputs], values: values.get(names.a)! }],
        [prefix + names.b, { shape: [outputs, rank], values: values.get(names.b)! }],
      ] as const;
    }),
  );
}

/** Number formats of the weights in decoding. */
export type InferDtype = 'auto' | 'float32' | 'float16' | 'bfloat16' | 'int8' | 'int4';

/** The output layer stays in 8 bits: its errors go straight into the probabilities. */
const blockBits: Partial<Record<InferDtype, BlockBits>> = {
  int8: { linear: 8, output: 8 },
  int4: { linear: 4, output: 8 },
};

/**
 * Opens a model with adapters on top of one another.
 * @throws FormatError and UnsupportedError as opening the model and the adapters.
 */
export async function openModel(
  folder: string,
  adapters: readonly string[],
  options: CompileOptions,
  {
    quantization,
    inferDtype = 'auto',
  }: { readonly quantization?: Quantization | undefined; readonly inferDtype?: InferDtype } = {},
): Promise<OpenedModel> {
  const opened = await openModelFolder(folder, quantization);
  const { model } = opened;
  const fitted: FittedAdapter[] = [];
  for (const adapter of adapters) fitted.push(await fitAdapter(adapter, model));
  const bits = blockBits[inferDtype];
  const codes = bits && (await openBlockCodes(opened, bits));
  const stored = codes?.stored ?? opened.stored;
  const decoderOptions = codes ? { ...options, locate: codes.locate } : options;
  const last = fitted.at(-1);
  if (last === undefined) {
    return { model, decoder: await Decoder.create(opened, frozenMethod(stored), new Map(), decoderOptions) };
  }
  const below = fitted.slice(0, -1);
  const grown = withVocabularyRows(opened, last.vocabularySize);
  const method = loraMethod(grown.model, stored, {
    dropout: 0,
    modules: last.modules,
    savedModules: last.savedModules,
    tokenRows: last.tokenRows,
    below: below.map(({ modules }) => modules),
  });
  const fixed = new Map(below.flatMap((adapter, index) => [...pairsBelow(adapter, index)]));
  for (const { name, shape } of method.trainables) fixed.set(name, { shape, values: last.values.get(name)! });
  return { model: grown.model, decoder: await Decoder.create(grown, method, fixed, decoderOptions) };
}
