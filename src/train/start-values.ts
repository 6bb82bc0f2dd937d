/** The values that moving tensors start from. */
import type { ModelFolder } from '../checkpoint/index.ts';
import { readTensor, type TensorEntry } from '../formats/index.ts';
import type { Trainable } from '../tuning/index.ts';
import { hashKey, RandomStream } from '../util/index.ts';

/** Rows of a table that are read at a time. */
const rowsAtOnce = 4096;

/** The mean of the first `count` rows, f32[D]. */
async function meanRow(entry: TensorEntry, count: number, width: number): Promise<Float32Array> {
  const sums = new Float64Array(width);
  for (let begin = 0; begin < count; begin += rowsAtOnce) {
    const values = await readTensor(entry, { begin, end: Math.min(count, begin + rowsAtOnce) });
    for (let at = 0; at < values.length; at++) sums[at % width]! += values[at]!;
  }
  return Float32Array.from(sums, (sum) => sum / count);
}

/**
 * Rows of tokens that were added: the mean of the `known` rows before them and noise of deviation 1 / sqrt(D), as
 * LLaMA-Factory starts them (`_noisy_mean_initialization`). A row is a function of seed, table and id alone.
 */
async function newRows(
  entry: TensorEntry,
  known: number,
  ids: readonly number[],
  width: number,
  seed: number,
): Promise<Float32Array> {
  const mean = await meanRow(entry, known, width);
  // a bias has no rows: its new values are the mean itself, as transformers has it
  const deviation = entry.shape.length === 1 ? 0 : 1 / Math.sqrt(width);
  const values = new Float32Array(ids.length * width);
  for (const [i, id] of ids.entries()) {
    const random = new RandomStream(hashKey(seed, 'new token row', entry.name, id));
    for (let d = 0; d < width; d++) values[i * width + d] = mean[d]! + deviation * random.nextNormal();
  }
  return values;
}

/** The start values of a tensor that moves: those of the checkpoint, or the method's own, a function of the seed. */
export async function startValues(folder: ModelFolder, trainable: Trainable, seed: number): Promise<Float32Array> {
  const { start, shape } = trainable;
  const count = shape.reduce((product, size) => product * size, 1);
  const entry = (name: string): TensorEntry => folder.checkpoint.tensors.get(name)!;
  switch (start.kind) {
    case 'zeros':
      return new Float32Array(count);
    case 'values':
      return start.make(seed);
    case 'stored': {
      const source = entry(start.source);
      const stored = await readTensor(source);
      if (stored.length >= count) return stored;
      const [rows, width = 1] = shape as [number, number?];
      const known = source.shape[0]!;
      const values = new Float32Array(count);
      values.set(stored);
      const added = Array.from({ length: rows - known }, (_, i) => known + i);
      values.set(await newRows(source, known, added, width, seed), stored.length);
      return values;
    }
    case 'rows': {
      const source = entry(start.source);
      const width = count / start.rows.length;
      const values = new Float32Array(count);
      const isNew = new Set(start.newRows);
      const known = Math.min(source.shape[0]!, ...start.newRows);
      const fresh = isNew.size === 0 ? undefined : await newRows(source, known, start.newRows, width, seed);
      for (const [i, row] of start.rows.entries()) {
        const place = start.newRows.indexOf(row);
        const own = isNew.has(row)
          ? fresh!.subarray(place * width, (place + 1) * width)
          : await readTensor(source, { begin: row, end: row + 1 });
        values.set(own, i * width);
      }
      return values;
    }
  }
}
