/** A PEFT adapter against its base model: the tuning settings that it stands for and the values of its tensors. */
import { FormatError, UnsupportedError } from '../errors.ts';
import { adapterParameters, type PeftConfig, readPeftAdapter, scaleOf } from '../formats/index.ts';
import type { Model } from '../models/index.ts';
import type { LoraModule, TokenRowChoice } from '../tuning/index.ts';

/** An adapter that fits the model. */
export interface FittedAdapter {
  readonly folder: string;
  readonly config: PeftConfig;
  readonly modules: readonly LoraModule[];
  /** Whole modules that it replaces, by full name. */
  readonly savedModules: readonly string[];
  /** Rows of the embedding, and of an output layer of its own, that it replaces. */
  readonly tokenRows: TokenRowChoice;
  /** Token ids that it knows: more than the base model's where tokens were added. */
  readonly vocabularySize: number;
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
  const tables = [tableName(model), `${model.outputModule}.weight`, `${model.outputModule}.bias`];
  let vocabularySize = model.vocabularySize;
  const savedModules = [...adapter.savedModules].map(([name, { shape }]) => {
    const expected =
      shapes.get(name) ?? (name === `${model.outputModule}.weight` ? shapes.get(tableName(model)) : undefined);
    // Embedding and output layer may have grown by added tokens.
    const grows = tables.includes(name) && shape[0]! > model.vocabularySize;
    const same =
      expected?.every((size, i) => size === shape[i] || (grows && i === 0)) && shape.length === expected.length;
    if (!expected || same !== true) {
      fail(name, `a parameter of the base model of shape [${expected?.join() ?? ''}]`, `[${shape.join()}]`);
    }
    if (grows) vocabularySize = Math.max(vocabularySize, shape[0]!);
    return name.slice(0, name.lastIndexOf('.'));
  });
  const tokenRows = { embedding: [] as readonly number[], output: [] as readonly number[], newIds: [] };
  for (const [module, { ids }] of adapter.tokenRows) {
    if (module === model.inputEmbedding) tokenRows.embedding = ids;
    else if (module === model.outputModule && !model.tiesEmbeddings) tokenRows.output = ids;
    else fail(module, `trained rows on ${model.inputEmbedding}`, 'another module');
    const added = ids.filter((id) => id >= model.vocabularySize);
    const end = Math.max(model.vocabularySize, ...added.map((id) => id + 1));
    if (end - model.vocabularySize !== added.length) {
      fail(
        module,
        `rows of all ids from the base model's ${model.vocabularySize} on`,
        `only those of ${added.join(', ')}`,
      );
    }
    vocabularySize = Math.max(vocabularySize, end);
  }
  return {
    folder,
    config: adapter.config,
    modules,
    savedModules: [...new Set(savedModules)],
    tokenRows,
    vocabularySize,
    values: new Map(adapterParameters(adapter).map(({ name, values }) => [name, values])),
  };
}

function tableName(model: Model): string {
  return `${model.inputEmbedding}.weight`;
}
