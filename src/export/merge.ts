/**
 * The tensors of a merged model, made one after the other in blocks of rows: W + s·B·A in f32, rounded once to nearest even to the
 * stored dtype. Memory: one block and one pair of factors.
 */
import { FormatError } from '../errors.ts';
import {
  bytesEqual,
  decodeFloats,
  elementCount,
  encodeFloats,
  type FloatDtype,
  indexOfNonFinite,
  isFloatDtype,
  readLoraPair,
  readTensor,
  type RowRange,
  type TensorEntry,
  tensorFromEntry,
  type TensorSource,
} from '../formats/index.ts';
import { addLowRank, type LowRankChange, transposed } from './low-rank.ts';
import { type MergePlan, plannedShape, type PlannedPair, type PlannedTensor } from './merge-plan.ts';

/** Values worked on at a time (16 MB in f32). */
const blockValues = 1 << 22;

type ReadyChange =
  | { readonly kind: 'pair'; readonly change: LowRankChange }
  | { readonly kind: 'rows'; readonly rowOf: ReadonlyMap<number, number>; readonly values: Float32Array };

/** Reads a pair and brings its factors into the layout of the weight. */
async function readyPair({ pair, scale, transposed: isTransposed }: PlannedPair): Promise<ReadyChange> {
  const { kind, rank, inFeatures, outFeatures, a, b } = await readLoraPair(pair);
  const flips = kind === 'embedding' || isTransposed;
  const left = flips ? transposed(a.values, rank, inFeatures) : b.values;
  const right = flips ? transposed(b.values, outFeatures, rank) : a.values;
  return { kind: 'pair', change: { rank, left, right, scale } };
}

async function readyChanges(tensor: PlannedTensor): Promise<ReadyChange[]> {
  const ready: ReadyChange[] = [];
  for (const change of tensor.changes) {
    if (change.kind === 'pair') ready.push(await readyPair(change));
    else {
      const rowOf = new Map(change.ids.map((id, row) => [id, row]));
      ready.push({ kind: 'rows', rowOf, values: await readTensor(change.rows) });
    }
  }
  return ready;
}

function applyChanges(block: Float32Array, rows: RowRange, columns: number, changes: readonly ReadyChange[]): void {
  for (const ready of changes) {
    if (ready.kind === 'pair') addLowRank(block, rows.begin, columns, ready.change);
    else {
      for (const [id, row] of ready.rowOf) {
        if (id < rows.begin || id >= rows.end) continue;
        block.set(ready.values.subarray(row * columns, (row + 1) * columns), (id - rows.begin) * columns);
      }
    }
  }
}

function requireFinite(name: string, bytes: Uint8Array, dtype: FloatDtype): void {
  const index = indexOfNonFinite(bytes, dtype);
  if (index < 0) return;
  const width = dtype === 'F32' ? 4 : 2;
  const value = new Float32Array(1);
  decodeFloats(bytes.slice(index * width, (index + 1) * width), dtype, value);
  throw new FormatError('merge-not-finite', { tensor: name, value: String(value[0]), dtype });
}

const meanOf = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Rows of the base's tensor in f32; where it has none they are `fill`, unless a change gives them. */
async function readRows(
  source: TensorEntry,
  { begin, end }: RowRange,
  columns: number,
  fill: number,
): Promise<Float32Array> {
  if (source.shape.length === 0) return readTensor(source);
  const known = source.shape[0]!;
  if (end <= known) return readTensor(source, { begin, end });
  const block = new Float32Array((end - begin) * columns).fill(fill);
  if (begin < known) block.set(await readTensor(source, { begin, end: known }));
  return block;
}

/** The chunks of a tensor that is changed or converted. */
async function* mergedChunks(name: string, tensor: PlannedTensor, dtype: FloatDtype): AsyncGenerator<Uint8Array> {
  const changes = await readyChanges(tensor);
  const { source } = tensor;
  const shape = plannedShape(tensor);
  const rowCount = shape[0] ?? 1;
  const columns = rowCount === 0 ? 0 : elementCount(shape) / rowCount;
  const fill = tensor.newRows === 'mean' ? meanOf(await readTensor(source)) : 0;
  const step = Math.max(1, Math.floor(blockValues / Math.max(1, columns)));
  for (let begin = 0; begin < rowCount; begin += step) {
    const rows = { begin, end: Math.min(rowCount, begin + step) };
    const block = await readRows(source, rows, columns, fill);
    applyChanges(block, rows, columns, changes);
    const bytes = encodeFloats(block, dtype);
    requireFinite(name, bytes, dtype);
    yield bytes;
  }
}

/** The dtype in which a tensor is stored: floats as asked, else as in the base. */
function resultDtype(tensor: PlannedTensor, asked: FloatDtype | undefined): TensorEntry['dtype'] {
  return asked !== undefined && isFloatDtype(tensor.dtype) ? asked : tensor.dtype;
}

function mergedSource(name: string, tensor: PlannedTensor, asked: FloatDtype | undefined): TensorSource {
  const dtype = resultDtype(tensor, asked);
  const { source } = tensor;
  if (tensor.changes.length === 0 && tensor.rows === undefined && source.dtype === dtype)
    return tensorFromEntry(source, name);
  if (!isFloatDtype(dtype)) {
    const allowed = ['F32', 'F16', 'BF16'];
    throw new FormatError('tensor-dtype', { file: source.file, tensor: name, dtype, allowed });
  }
  return { name, dtype, shape: plannedShape(tensor), chunks: () => mergedChunks(name, tensor, dtype) };
}

/** Whether a parted head and its embedding hold the same values after all, as PEFT's `ensure_weight_tying` saves them. */
export async function isHeadStillTied({ partedHead, tensors }: MergePlan): Promise<boolean> {
  if (!partedHead) return false;
  const embedding = tensors.get(partedHead.embedding)!;
  const head = tensors.get(partedHead.head)!;
  if (embedding.changes.length > 0 || head.changes.length > 0) return false;
  return bytesEqual(embedding.source, head.source);
}

/**
 * The tensors of a merged model, ready to be written: each is computed when its turn comes.
 * @param dtype stores floats in this dtype instead of the base's
 * @throws FormatError `tensor-dtype` where a tensor that changes is not F32, F16 or BF16; `merge-not-finite` while writing
 */
export function mergedTensors(
  plan: MergePlan,
  dtype?: FloatDtype,
  without: ReadonlySet<string> = new Set(),
): TensorSource[] {
  return [...plan.tensors]
    .filter(([name]) => !without.has(name))
    .map(([name, tensor]) => mergedSource(name, tensor, dtype));
}
