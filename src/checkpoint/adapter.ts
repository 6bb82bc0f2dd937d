/** A PEFT adapter against its base model: the tuning settings that it stands for and the values of its tensors. */
import { FormatError, UnsupportedError } from '../errors.ts';
import { adapterParameters, type PeftConfig, readPeftAdapter, scaleOf } from '../formats/index.ts';
import type { Model } from '../models/index.ts';
import type { LoraModule } from '../tuning/index.ts';

/** An adapter that fits the model. */
export interface FittedAdapter {
  readonly folder: string;
  readonly config: PeftConfig;
  readonly modules: readonly LoraModule[];
  /** Whole modules that it replaces, by full name. */
  readonly savedModules: readonly string[];
  /** Token ids whose embedding rows it replaces. */
  readonly tokenIds: readonly number[];
  /** f32 values of its tensors by name (without `base_model.model.`). */
  readonly values: ReadonlyMap<string, Float32Array>;
}

/**
 * Reads an adapter folder for a model.
 * @throws FormatError where a module is not the model's or has other sizes; UnsupportedError for adapters on embeddings.
 */
export async function fitAdapter(folder: string, model: Model): Promise<FittedAdapter> {
  const adapter = await readPeftAdapter(folder);
  const linears = new Map(model.linearModules.map((module) => [module.name, module]));
  const fail = (tensor: string, requirement: string, actual: string): never => {
    throw new FormatError('adapter-tensor', { file: folder, tensor, requirement, actual });
  };
  const modules = [...adapter.loraPairs].map(([name, pair]): LoraModule => {
    if (pair.kind === 'embedding') {
      throw new UnsupportedError('adapter-unsupported', {
        file: folder,
        key: name,
        value: 'a LoRA pair on an embedding',
        remedy: 'Merge it into its base model with PEFT, and use the merged model',
      });
    }
    const linear =
      linears.get(name) ?? fail(name, `it must be a linear module of the ${model.modelType} base model`, 'none');
    if (linear.inputs !== pair.inFeatures || linear.outputs !== pair.outFeatures) {
      fail(
        name,
        `sizes ${linear.outputs}x${linear.inputs} of the base model`,
        `${pair.outFeatures}x${pair.inFeatures}`,
      );
    }
    return { ...linear, rank: pair.rank, scale: scaleOf(adapter.config, name) };
  });
  const shapes = new Map(model.parameters.map(({ name, shape }) => [name, shape]));
  const savedModules = [...adapter.savedModules].map(([name, { shape }]) => {
    const expected =
      shapes.get(name) ?? (name === `${model.outputModule}.weight` ? shapes.get(tableName(model)) : undefined);
    if (!expected || expected.join() !== shape.join()) {
      fail(name, `a parameter of the base model of shape [${expected?.join() ?? ''}]`, `[${shape.join()}]`);
    }
    return name.slice(0, name.lastIndexOf('.'));
  });
  const rows = [...adapter.tokenRows];
  for (const [module] of rows) {
    if (module !== model.inputEmbedding) fail(module, `trained rows on ${model.inputEmbedding}`, 'another module');
  }
  return {
    folder,
    config: adapter.config,
    modules,
    savedModules: [...new Set(savedModules)],
    tokenIds: rows[0]?.[1].ids ?? [],
    values: new Map(adapterParameters(adapter).map(({ name, values }) => [name, values])),
  };
}

function tableName(model: Model): string {
  return `${model.inputEmbedding}.weight`;
}
