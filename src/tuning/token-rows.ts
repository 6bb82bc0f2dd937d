/**
 * Single rows of the embedding table that move (PEFT's trainable_token_indices), for added tokens: the rows are replaced
 * on the way in and, where the output layer is tied to the table, on the way out; rows of an output layer of its own
 * likewise. Rows beyond the stored ones, of tokens that were added, exist only here; a bias of the output layer has the mean of its
 * stored values for them, as transformers' `resize_token_embeddings` gives it whenever the adapter is loaded.
 */
import * as g from '../graph/index.ts';
import type { ParameterSource } from '../models/index.ts';
import type { Trainable } from './method.ts';

/** Rows of one table that move. */
export interface MovedRows {
  /** Token ids; those beyond the stored rows follow them without a gap. */
  readonly ids: readonly number[];
  /** The module that holds the table. */
  readonly module: string;
  /** Those of the ids whose rows nothing has trained yet: they start near the mean of the rows before them. */
  readonly newIds: readonly number[];
}

export interface TokenRowSettings {
  readonly embedding: MovedRows;
  /** Rows of an output layer that is not tied to the embedding. */
  readonly output: MovedRows;
  readonly width: number;
  /** Rows that the checkpoint holds. */
  readonly storedRows: number;
}

/** int64[N] input: for each token its place among the moved rows, or their number where it is none of them. */
const tokenRowInput = 'token_row';
/** int64[1, V] input: 0 to V - 1. */
const vocabularyInput = 'vocabulary';

/** The values of the two inputs for a batch of token ids, as plain numbers with their shapes. */
export function tokenRowInputs(
  movedIds: readonly number[],
  ids: ArrayLike<number>,
  storedRows: number,
): Record<string, { readonly shape: readonly number[]; readonly values: readonly number[] }> {
  if (movedIds.length === 0) return {};
  const places = new Map(movedIds.map((id, i) => [id, i]));
  const values = Array.from({ length: ids.length }, (_, t) => places.get(ids[t]!) ?? places.size);
  return {
    [tokenRowInput]: { shape: [ids.length], values },
    [vocabularyInput]: { shape: [1, storedRows], values: Array.from({ length: storedRows }, (_, i) => i) },
  };
}

/** Token ids as the stored table can be asked for them: a row that it lacks is replaced anyway, so that any will do. */
export function storedTokenIds(ids: ArrayLike<number>, storedRows: number): Int32Array {
  return Int32Array.from(ids, (id) => (id < storedRows ? id : 0));
}

/** Name of the moved rows f32[n, D] of a module. */
export function tokenRowName(module: string): string {
  return `${module}.token_adapter.trainable_tokens_delta`;
}

/** The moved rows; those that training has seen start as the table has them. */
export function tokenRowTrainables({ embedding, output, width }: TokenRowSettings): Trainable[] {
  return [embedding, output]
    .filter(({ ids }) => ids.length > 0)
    .map(({ module, ids, newIds }) => ({
      name: tokenRowName(module),
      shape: [ids.length, width],
      start: { kind: 'rows', source: `${module}.weight`, rows: ids, newRows: newIds },
    }));
}

/** The source with the moved rows in place of the stored ones. */
export function withTokenRows(
  base: ParameterSource & { readonly storedWeight: (name: string) => g.Node },
  settings: TokenRowSettings,
): ParameterSource {
  const { embedding, output, width, storedRows } = settings;
  const table = `${embedding.module}.weight`;
  const { ids } = embedding;
  // One node for each table, however often it is used.
  const nodeOf = ({ module, ids: own }: MovedRows): g.Node | undefined =>
    own.length === 0 ? undefined : g.input(tokenRowName(module), 'float32', [own.length, width]);
  const nodes = new Map([embedding, output].map((rows) => [rows, nodeOf(rows)]));
  const moved = (rows: MovedRows): g.Node => nodes.get(rows)!;
  const idNode = g.constant(Array.from(storedTokenIds(ids, storedRows)), [ids.length], 'int64');
  // only the difference is added, so that the large table is never copied
  const change = (): g.Node => g.sub(moved(embedding), base.embedding(table, idNode));

  /** Some of the moved rows, by their places. */
  const pick = (rows: g.Node, places: readonly number[], all: number): g.Node =>
    places.length === all && places.every((place, i) => place === i)
      ? rows
      : g.gather(rows, g.constant([...places], [places.length], 'int64'));

  /** Logits with the columns of moved rows: those of stored ones corrected by `difference`, new ones appended by id. */
  const withColumns = (logits: g.Node, x: g.Node, rows: MovedRows, difference: () => g.Node): g.Node => {
    const places = [...rows.ids.keys()];
    const inside = places.filter((place) => rows.ids[place]! < storedRows);
    const added = places.filter((place) => rows.ids[place]! >= storedRows).sort((a, b) => rows.ids[a]! - rows.ids[b]!);
    let result = logits;
    if (inside.length > 0) {
      const known = g.constant(
        inside.map((place) => rows.ids[place]!),
        [inside.length, 1],
        'int64',
      );
      const vocabulary = g.input(vocabularyInput, 'int64', [1, storedRows]);
      const columns = g.matmul(x, pick(difference(), inside, places.length), { transposeB: true });
      result = g.add(result, g.matmul(columns, g.cast(g.equal(known, vocabulary), 'float32')));
    }
    if (added.length === 0) return result;
    return g.concat([result, g.matmul(x, pick(moved(rows), added, places.length), { transposeB: true })], 1);
  };

  const addedCount = ids.filter((id) => id >= storedRows).length;
  /** f32[V] -> f32[V + n] */
  const withMeans = (values: g.Node): g.Node =>
    g.concat([values, g.expand(g.reshape(g.reduceMean(values, [0]), [1]), [addedCount])], 0);
  let grownBias: g.Node | undefined;

  return {
    ...base,
    parameter: (name) => {
      const values = base.parameter(name);
      if (addedCount === 0 || name !== `${output.module}.bias`) return values;
      return (grownBias ??= withMeans(values));
    },
    embedding: (name, tokens) => {
      const rows = base.embedding(name, tokens);
      if (name !== table || ids.length === 0) return rows;
      const zeroRow = g.constant(
        Array.from({ length: width }, () => 0),
        [1, width],
      );
      const changes = g.concat([change(), zeroRow], 0);
      return g.add(rows, g.gather(changes, g.input(tokenRowInput, 'int64', tokens.shape)));
    },
    outputLogits: (module, x, tiedTo) => {
      const logits = base.outputLogits(module, x, tiedTo);
      if (tiedTo === table && ids.length > 0) return withColumns(logits, x, embedding, change);
      if (tiedTo !== undefined || module !== output.module || output.ids.length === 0) return logits;
      const stored = g.constant(Array.from(storedTokenIds(output.ids, storedRows)), [output.ids.length], 'int64');
      return withColumns(logits, x, output, () =>
        g.sub(moved(output), base.embedding(`${output.module}.weight`, stored)),
      );
    },
  };
}
