/**
 * Decides what each tensor of a merged model is made of: the base's tensor or one that an adapter saved, then low-rank changes and
 * token rows in the order of the adapters. Checks every name and shape before anything is written.
 *
 * A tied head follows the embedding as in PEFT: trained token rows go to both; where one of the two is changed alone, they part.
 */
import { FormatError } from '../errors.ts';
import {
  type Checkpoint,
  type LoraPair,
  type OpenedPeftAdapter,
  scaleOf,
  type TensorEntry,
  type TokenRows,
} from '../formats/index.ts';

/** A low-rank change of a weight, not read yet. */
export interface PlannedPair {
  readonly kind: 'pair';
  readonly pair: LoraPair<TensorEntry>;
  readonly scale: number;
  /** The weight is stored [in, out]. */
  readonly transposed: boolean;
}

/** Rows that replace those of a weight. */
export interface PlannedRows extends TokenRows<TensorEntry> {
  readonly kind: 'rows';
}

/** What one tensor of the result is made of. */
export interface PlannedTensor {
  /** Where its values come from before the changes. */
  readonly source: TensorEntry;
  readonly changes: readonly (PlannedPair | PlannedRows)[];
  /** Rows of the result where token rows that the source lacks are added. */
  readonly rows?: number;
  /** What such rows are where no change gives them; left out: 0, since all are given. */
  readonly newRows?: 'mean';
  /** The base's dtype, in which the result is stored. */
  readonly dtype: TensorEntry['dtype'];
}

/** The names of the input embedding and of the output head. */
export interface TiedNames {
  readonly embedding: string;
  readonly head: string;
}

/** Everything that a merged model consists of. */
export interface MergePlan {
  /** By parameter name. */
  readonly tensors: ReadonlyMap<string, PlannedTensor>;
  /** Names whose values are not those of the base. */
  readonly changed: ReadonlySet<string>;
  /** Where the base's head was tied and the adapters changed one of the two alone, or both apart. */
  readonly partedHead?: TiedNames;
  /** Rows of the embedding, where an adapter brought another number than the base has. */
  readonly vocabularySize?: number;
}

/** Input embeddings of the families, each with the head that goes with it. */
const tableNames: readonly TiedNames[] = [
  { embedding: 'model.embed_tokens.weight', head: 'lm_head.weight' },
  { embedding: 'transformer.wte.weight', head: 'lm_head.weight' },
  { embedding: 'gpt_neox.embed_in.weight', head: 'embed_out.weight' },
  { embedding: 'transformer.word_embeddings.weight', head: 'lm_head.weight' },
  { embedding: 'model.tok_embeddings.weight', head: 'output.weight' },
  { embedding: 'transformer.embedding.word_embeddings.weight', head: 'transformer.output_layer.weight' },
];

function shapeText(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

/** The shape that a pair changes. */
function changedShape({ pair, transposed }: PlannedPair): [number, number] {
  const { kind, inFeatures, outFeatures } = pair;
  return kind === 'embedding' || transposed ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
}

/** Rows of a tensor of the result. */
function rowsOf({ rows, source }: PlannedTensor): number {
  return rows ?? source.shape[0] ?? 1;
}

/** Shape of a tensor of the result. */
export function plannedShape({ rows, source }: PlannedTensor): readonly number[] {
  return rows === undefined ? source.shape : [rows, ...source.shape.slice(1)];
}

class MergePlanner {
  readonly model: string;
  readonly tensors: Map<string, PlannedTensor>;
  readonly changed = new Set<string>();
  /** Input embedding and head; undefined where the base has no embedding of a name that is known. */
  readonly tables: TiedNames | undefined;
  /** The tied pair while head and embedding are still one. */
  tied: TiedNames | undefined;
  parted: TiedNames | undefined;

  constructor(base: Checkpoint, saysTied: boolean) {
    this.model = base.folder;
    this.tensors = new Map(
      [...base.tensors].map(([name, source]) => [name, { source, changes: [], dtype: source.dtype }]),
    );
    this.tables = tableNames.find(({ embedding }) => base.tensors.has(embedding));
    if (this.tables !== undefined && (saysTied || !base.tensors.has(this.tables.head))) {
      this.tied = this.tables;
      this.tensors.delete(this.tables.head);
    }
  }

  /** Head and embedding part where this adapter changes one of them, or both, by anything but the embedding's token rows. */
  partWhereNeeded({ loraPairs, savedModules, tokenRows }: OpenedPeftAdapter): void {
    if (this.tied === undefined) return;
    const { embedding, head } = this.tied;
    const module = (name: string): string => name.slice(0, -'.weight'.length);
    const changes = (name: string): boolean => savedModules.has(name) || loraPairs.has(module(name));
    if (!changes(embedding) && !changes(head) && !tokenRows.has(module(head))) return;
    this.tensors.set(head, this.tensors.get(embedding)!);
    if (this.changed.has(embedding)) this.changed.add(head);
    this.parted = this.tied;
    this.tied = undefined;
  }

  planned(adapter: OpenedPeftAdapter, name: string, shown: string): PlannedTensor {
    const tensor = this.tensors.get(name);
    if (tensor) return tensor;
    throw new FormatError('merge-target-missing', { adapter: adapter.folder, module: shown, model: this.model });
  }

  misfit(adapter: OpenedPeftAdapter, module: string, expected: readonly number[], actual: readonly number[]): Error {
    return new FormatError('merge-shape', {
      adapter: adapter.folder,
      module,
      expected: shapeText(expected),
      actual: shapeText(actual),
      model: this.model,
    });
  }

  replace(adapter: OpenedPeftAdapter, name: string, source: TensorEntry): void {
    const tensor = this.planned(adapter, name, name);
    const { shape } = tensor.source;
    // Embedding and head may have grown by added tokens; everything else keeps its shape.
    const grows = name === this.tables?.head || name === this.tables?.embedding || name === this.headBias;
    const fits =
      shape.length === source.shape.length && shape.every((size, i) => size === source.shape[i] || (grows && i === 0));
    if (!fits) throw this.misfit(adapter, name, shape, source.shape);
    this.tensors.set(name, { source, changes: [], dtype: tensor.dtype });
    this.changed.add(name);
  }

  addPair(adapter: OpenedPeftAdapter, module: string, pair: LoraPair<TensorEntry>): void {
    const name = `${module}.weight`;
    const tensor = this.planned(adapter, name, module);
    const transposed = adapter.config.fanInFanOut && pair.kind === 'linear';
    const change: PlannedPair = { kind: 'pair', pair, scale: scaleOf(adapter.config, module), transposed };
    const { shape } = tensor.source;
    const expected = changedShape(change);
    if (shape.length !== 2 || shape[0] !== expected[0] || shape[1] !== expected[1]) {
      throw this.misfit(adapter, module, shape, expected);
    }
    this.tensors.set(name, { ...tensor, changes: [...tensor.changes, change] });
    this.changed.add(name);
  }

  replaceRows(adapter: OpenedPeftAdapter, module: string, { ids, rows }: TokenRows<TensorEntry>): void {
    const name = `${module}.weight`;
    const tensor = this.planned(adapter, name, module);
    const [, width = 0] = tensor.source.shape;
    const count = rowsOf(tensor);
    if (rows.shape[1] !== width) throw this.misfit(adapter, module, [ids.length, width], rows.shape);
    // Tokens that were added follow the base's without a gap.
    const added = ids.filter((id) => id >= count);
    const end = added.reduce((most, id) => Math.max(most, id + 1), count);
    if (end - count !== added.length) {
      throw new FormatError('merge-token-id', { adapter: adapter.folder, module, id: end - 1, rows: count });
    }
    const grown = added.length === 0 ? {} : { rows: end };
    this.tensors.set(name, { ...tensor, ...grown, changes: [...tensor.changes, { kind: 'rows', ids, rows }] });
    this.changed.add(name);
  }

  apply(adapter: OpenedPeftAdapter): void {
    this.partWhereNeeded(adapter);
    for (const [name, entry] of adapter.savedModules) this.replace(adapter, name, entry);
    for (const [module, pair] of adapter.loraPairs) this.addPair(adapter, module, pair);
    for (const [module, rows] of adapter.tokenRows) this.replaceRows(adapter, module, rows);
  }

  /** Rows of the embedding where they differ from the base's; head and embedding must then have grown alike. */
  grownVocabulary(base: Checkpoint, adapters: readonly OpenedPeftAdapter[]): number | undefined {
    if (this.tables === undefined) return undefined;
    const { embedding, head: headName } = this.tables;
    const rows = rowsOf(this.tensors.get(embedding)!);
    const head = this.tensors.get(headName);
    if (head && rowsOf(head) !== rows && adapters.length > 0) {
      const [, width = 0] = head.source.shape;
      throw this.misfit(adapters.at(-1)!, headName, [rows, width], [rowsOf(head), width]);
    }
    if (rows === base.tensors.get(embedding)!.shape[0]) return undefined;
    this.growBias(rows);
    return rows;
  }

  /** The bias of a head that has one. */
  get headBias(): string | undefined {
    const name = this.tables?.head.replace(/weight$/, 'bias');
    return name !== undefined && this.tensors.has(name) ? name : undefined;
  }

  /** An adapter of single rows has no bias of theirs: it is the mean, as transformers gives it when the adapter is loaded. */
  growBias(rows: number): void {
    const name = this.headBias;
    const tensor = name === undefined ? undefined : this.tensors.get(name);
    if (name === undefined || tensor === undefined || rowsOf(tensor) >= rows) return;
    this.tensors.set(name, { ...tensor, rows, newRows: 'mean' });
    this.changed.add(name);
  }
}

/**
 * Plans a merge of `adapters`, in their order, into `base`.
 * @param saysTied the base's config says `tie_word_embeddings: true`
 * @throws FormatError `merge-target-missing`, `merge-shape`, `merge-token-id`
 */
export function planMerge(base: Checkpoint, adapters: readonly OpenedPeftAdapter[], saysTied: boolean): MergePlan {
  const planner = new MergePlanner(base, saysTied);
  for (const adapter of adapters) planner.apply(adapter);
  const vocabularySize = planner.grownVocabulary(base, adapters);
  return {
    tensors: planner.tensors,
    changed: planner.changed,
    ...(planner.parted && { partedHead: planner.parted }),
    ...(vocabularySize !== undefined && { vocabularySize }),
  };
}
