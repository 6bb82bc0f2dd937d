/** The tuning methods, put together from their parts. */
import type { BlockCodes } from '../graph/index.ts';
import type { Model } from '../models/index.ts';
import { frozenParameters, type StoredWeight } from './frozen.ts';
import { loraDropoutSites, type LoraModule, type LoraSettings, loraTrainables, withLora } from './lora.ts';
import type { Trainable, TuningMethod } from './method.ts';
import { type MovedRows, type TokenRowSettings, tokenRowTrainables, withTokenRows } from './token-rows.ts';

/** Weights as the checkpoint stores them, by name. */
export type StoredWeights = ReadonlyMap<string, StoredWeight | BlockCodes>;

/** What a LoRA run moves beside the adapters. */
export interface LoraMethodSettings extends LoraSettings {
  /** Modules that move as a whole (PEFT's modules_to_save), by full name, e.g. `lm_head`. */
  readonly savedModules: readonly string[];
  /** Rows of the embedding that move alone, and of an output layer that is not tied to it; left out: none. */
  readonly tokenRows?: TokenRowChoice;
  /** Adapters below, which do not move: as many sets of modules, their matrices fed as `frozenAdapterPrefix(i)` + name. */
  readonly below?: readonly (readonly LoraModule[])[];
}

/** Token ids, ascending; `newIds` are those of both lists whose rows nothing has trained yet. */
export interface TokenRowChoice {
  readonly embedding: readonly number[];
  readonly output: readonly number[];
  readonly newIds: readonly number[];
}

/** What stands before the names of the matrices of the i-th adapter that does not move. */
export function frozenAdapterPrefix(index: number): string {
  return `below ${index} `;
}

/** Nothing moves: for generation and for evaluation of a plain checkpoint. */
export function frozenMethod(stored: StoredWeights): TuningMethod {
  const source = frozenParameters(stored, { shapes: new Map(), tiedOutputFollows: false });
  return { trainables: [], dropoutSites: [], movedTokenIds: [], storedRows: Infinity, source: () => source };
}

/** Every weight moves, embeddings and head included; a tied head is the embedding table. */
export function fullMethod(model: Model, stored: StoredWeights): TuningMethod {
  const shapes = new Map(model.parameters.map(({ name, shape }) => [name, shape]));
  const source = frozenParameters(stored, { shapes, tiedOutputFollows: true });
  const trainables = model.parameters.map(({ name, shape }): Trainable => ({
    name,
    shape,
    start: { kind: 'stored', source: name },
  }));
  return { trainables, dropoutSites: [], movedTokenIds: [], storedRows: Infinity, source: () => source };
}

/** Low-rank adapters on linear modules, with whole modules and embedding rows where asked. */
export function loraMethod(model: Model, stored: StoredWeights, settings: LoraMethodSettings): TuningMethod {
  const shapes = new Map<string, readonly number[]>();
  const saved: Trainable[] = [];
  const table = `${model.inputEmbedding}.weight`;
  const save = (name: string, source: string, shape: readonly number[]): void => {
    shapes.set(name, shape);
    saved.push({ name, shape, start: { kind: 'stored', source } });
  };
  for (const module of settings.savedModules) {
    for (const { name, shape } of model.parameters) if (name.startsWith(`${module}.`)) save(name, name, shape);
    // a tied head becomes a copy of its own, as PEFT makes it
    const tied = module === model.outputModule && model.tiesEmbeddings;
    if (tied) save(`${module}.weight`, table, model.parameters.find(({ name }) => name === table)!.shape);
  }
  const base = frozenParameters(stored, { shapes, tiedOutputFollows: false });
  const rowSettings = tokenRowSettings(model, stored, settings);
  const hasRows = rowSettings.embedding.ids.length + rowSettings.output.ids.length > 0;
  const withRows = hasRows ? withTokenRows(base, rowSettings) : base;
  const withBelow = (settings.below ?? []).reduce(
    (source, modules, i) => withLora(source, { modules, dropout: 0 }, false, frozenAdapterPrefix(i)),
    withRows,
  );
  return {
    trainables: [...loraTrainables(settings), ...saved, ...(hasRows ? tokenRowTrainables(rowSettings) : [])],
    dropoutSites: loraDropoutSites(settings),
    movedTokenIds: rowSettings.embedding.ids,
    // A table that moves as a whole has all its rows.
    storedRows: shapes.has(table) ? Infinity : rowSettings.storedRows,
    source: (training) => withLora(withBelow, settings, training),
  };
}

/** The rows that move alone; those of a table that moves as a whole do so with it. */
function tokenRowSettings(
  model: Model,
  stored: StoredWeights,
  { tokenRows = { embedding: [], output: [], newIds: [] }, savedModules }: LoraMethodSettings,
): TokenRowSettings {
  const isNew = new Set(tokenRows.newIds);
  const rowsOf = (module: string, ids: readonly number[]): MovedRows => {
    const own = savedModules.includes(module) ? [] : ids;
    return { module, ids: own, newIds: own.filter((id) => isNew.has(id)) };
  };
  return {
    embedding: rowsOf(model.inputEmbedding, tokenRows.embedding),
    output: rowsOf(model.outputModule, tokenRows.output),
    width: model.hiddenSize,
    storedRows: stored.get(`${model.inputEmbedding}.weight`)!.shape[0],
  };
}
