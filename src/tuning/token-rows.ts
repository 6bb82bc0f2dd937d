/**
 * Single rows of the embedding table that move (PEFT's trainable_token_indices), for added tokens: the rows are replaced
 * on the way in and, where the output layer is tied to the table, on the way out.
 */
import * as g from '../graph/index.ts';
import type { ParameterSource } from '../models/index.ts';
import type { Trainable } from './method.ts';

export interface TokenRowSettings {
  /** Token ids, ascending. */
  readonly ids: readonly number[];
  /** Parameter name of the embedding table and its width. */
  readonly table: string;
  readonly width: number;
  readonly vocabularySize: number;
}

/** int64[N] input: for each token its place among the moved rows, or their number where it is none of them. */
const tokenRowInput = 'token_row';
/** int64[1, V] input: 0 to V - 1. */
const vocabularyInput = 'vocabulary';

/** The values of the two inputs for a batch of token ids, as plain numbers with their shapes. */
export function tokenRowInputs(
  movedIds: readonly number[],
  ids: ArrayLike<number>,
  vocabularySize: number,
): Record<string, { readonly shape: readonly number[]; readonly values: readonly number[] }> {
  if (movedIds.length === 0) return {};
  const places = new Map(movedIds.map((id, i) => [id, i]));
  const values = Array.from({ length: ids.length }, (_, t) => places.get(ids[t]!) ?? places.size);
  return {
    [tokenRowInput]: { shape: [ids.length], values },
    [vocabularyInput]: { shape: [1, vocabularySize], values: Array.from({ length: vocabularySize }, (_, i) => i) },
  };
}

/** Name of the moved rows f32[n, D]. */
export function tokenRowName(settings: TokenRowSettings): string {
  return settings.table.replace(/\.weight$/, '.token_adapter.trainable_tokens_delta');
}

/** The moved rows; they start as the table has them. */
export function tokenRowTrainables(settings: TokenRowSettings): Trainable[] {
  const { ids, table, width } = settings;
  return [
    { name: tokenRowName(settings), shape: [ids.length, width], start: { kind: 'rows', source: table, rows: ids } },
  ];
}

/** The source with the moved rows in place of the stored ones. */
export function withTokenRows(
  base: ParameterSource & { readonly storedWeight: (name: string) => g.Node },
  settings: TokenRowSettings,
): ParameterSource {
  const { ids, table, width, vocabularySize } = settings;
  const moved = g.input(tokenRowName(settings), 'float32', [ids.length, width]);
  const idNode = g.constant([...ids], [ids.length], 'int64');
  // only the difference is added, so that the large table is never copied
  const change = (): g.Node => g.sub(moved, base.embedding(table, idNode));
  return {
    ...base,
    embedding: (name, tokens) => {
      const rows = base.embedding(name, tokens);
      if (name !== table) return rows;
      const zeroRow = g.constant(
        Array.from({ length: width }, () => 0),
        [1, width],
      );
      const changes = g.concat([change(), zeroRow], 0);
      return g.add(rows, g.gather(changes, g.input(tokenRowInput, 'int64', tokens.shape)));
    },
    outputLogits: (module, x, tiedTo) => {
      const logits = base.outputLogits(module, x, tiedTo);
      if (tiedTo !== table) return logits;
      const columns = g.matmul(x, change(), { transposeB: true });
      const places = g.cast(
        g.equal(g.reshape(idNode, [ids.length, 1]), g.input(vocabularyInput, 'int64', [1, vocabularySize])),
        'float32',
      );
      return g.add(logits, g.matmul(columns, places));
    },
  };
}
