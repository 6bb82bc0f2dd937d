/** Runs the head in stretches: see `head-chunks.ts`. */
import { float32, giveBack, int64, type TensorValue, type WeightLocator } from '../runtime/index.ts';
import { type HeadChunks, headNames, headRowsAtOnce } from './head-chunks.ts';
import type { SegmentGraph, SegmentPrograms } from './segment-programs.ts';
import { borderNames } from './segments.ts';
import type { LayerRunner, PassContext } from './staged-layer.ts';
import { lossOutput } from './step-plan.ts';

/** Finds the stretches of the output table, and all other weights as `locate` does. */
export function locateStretches({ rows }: HeadChunks, locate: WeightLocator): WeightLocator {
  return (name) => {
    const part = rows.get(name);
    if (!part) return locate(name);
    const whole = locate(part.weight);
    const offset = part.begin * part.bytesPerRow;
    if (whole instanceof Uint8Array) return whole.subarray(offset, offset + part.bytes);
    return { file: whole.file, offset: whole.offset + offset, length: part.bytes };
  };
}

/** The labelled rows of a batch, as the batch feeds hold them. */
interface Labelled {
  readonly rows: BigInt64Array;
  readonly labels: BigInt64Array;
  readonly weights: Float32Array;
}

/** The stretches with their programs prepared. */
export class HeadRunner implements LayerRunner {
  private readonly stretches: readonly {
    readonly columns: TensorValue;
    readonly forward: SegmentGraph;
    readonly backward: SegmentGraph;
  }[];
  private readonly programs: SegmentPrograms;
  private readonly rowsAtOnce: number;

  constructor(chunks: HeadChunks, programs: SegmentPrograms, tokensAtOnce?: number) {
    const columns = Math.max(...chunks.stretches.map(({ begin, end }) => end - begin));
    this.rowsAtOnce = headRowsAtOnce(columns, tokensAtOnce);
    this.programs = programs;
    this.stretches = chunks.stretches.map(({ begin, end, forward, backward }) => ({
      columns: int64(
        Array.from({ length: end - begin }, (_, i) => begin + i),
        [1, end - begin],
      ),
      forward: programs.prepare(forward),
      backward: programs.prepare(backward),
    }));
  }

  get runs(): LayerRunner['runs'] {
    return { forward: this.stretches.length, backward: 2 * this.stretches.length };
  }

  async forward(x: TensorValue | undefined, context: PassContext): Promise<undefined> {
    const blocks = rowBlocks(x!, labelledOf(context), this.rowsAtOnce);
    await this.lossOf(blocks, context);
    giveBackRows(blocks);
  }

  async backward(x: TensorValue | undefined, _arriving: undefined, context: PassContext): Promise<TensorValue> {
    const blocks = rowBlocks(x!, labelledOf(context), this.rowsAtOnce);
    const arriving = await this.gradientOf(x!, blocks, await this.lossOf(blocks, context), context);
    giveBackRows(blocks);
    return arriving;
  }

  /** Collects the loss, and gives the log-sum-exp of each labelled row. */
  private async lossOf(blocks: readonly RowBlock[], context: PassContext): Promise<Float64Array> {
    const { weights, rows } = labelledOf(context);
    const lse = new Float64Array(rows.length).fill(-Infinity);
    const picked = new Float64Array(rows.length);
    for (const { forward, columns } of this.stretches) {
      const program = await this.programs.open(forward);
      try {
        for (const { begin, values } of blocks) {
          const results = await program.run({ ...context.feeds, ...values, [headNames.columns]: columns });
          const own = results[headNames.stretchLse]!.data as Float32Array;
          const label = results[headNames.picked]!.data as Float32Array;
          for (let i = 0; i < own.length; i++) {
            lse[begin + i] = logSum(lse[begin + i]!, own[i]!);
            picked[begin + i]! += label[i]!;
          }
          giveBack(Object.values(results));
        }
      } finally {
        await program.close();
      }
      context.onRun();
    }
    let loss = 0;
    for (let i = 0; i < lse.length; i++) loss += weights[i]! * (lse[i]! - picked[i]!);
    context.collect(lossOutput, float32(Float32Array.of(loss), [1, 1]));
    return lse;
  }

  private async gradientOf(
    x: TensorValue,
    blocks: readonly RowBlock[],
    lse: Float64Array,
    context: PassContext,
  ): Promise<TensorValue> {
    const arriving = new Float32Array(x.data.length);
    for (const { backward, columns } of this.stretches) {
      const program = await this.programs.open(backward);
      try {
        for (const { begin, rows, values } of blocks) {
          const own = Float32Array.from(lse.subarray(begin, begin + rows.length));
          const results = await program.run({
            ...context.feeds,
            ...values,
            [headNames.columns]: columns,
            [headNames.lse]: float32(own, [rows.length, 1]),
          });
          for (const [name, value] of Object.entries(results)) {
            if (name !== borderNames.leaving) context.collect(name, value);
          }
          addRows(arriving, results[borderNames.leaving]!.data as Float32Array, rows);
          giveBack(Object.values(results));
        }
      } finally {
        await program.close();
      }
      context.onRun();
    }
    return float32(arriving, x.shape);
  }
}

/** log(e^a + e^b). */
function logSum(a: number, b: number): number {
  const high = Math.max(a, b);
  return high === -Infinity ? high : high + Math.log1p(Math.exp(Math.min(a, b) - high));
}

function labelledOf({ feeds }: PassContext): Labelled {
  return {
    rows: feeds[headNames.rows]!.data as BigInt64Array,
    labels: feeds[headNames.labels]!.data as BigInt64Array,
    weights: feeds[headNames.weights]!.data as Float32Array,
  };
}

/** Labelled rows that run together. */
interface RowBlock {
  readonly begin: number;
  /** Where they stand among the tokens. */
  readonly rows: readonly number[];
  readonly values: Readonly<Record<string, TensorValue>>;
}

/** Frees the rows of x; labels and weights are parts of the batch's own. */
function giveBackRows(blocks: readonly RowBlock[]): void {
  giveBack(blocks.map(({ values }) => values[borderNames.input]));
}

function rowBlocks(x: TensorValue, { rows, labels, weights }: Labelled, rowsAtOnce: number): RowBlock[] {
  const width = x.shape[1]!;
  const source = x.data as Float32Array;
  return Array.from({ length: Math.ceil(rows.length / rowsAtOnce) }, (_, block) => {
    const begin = block * rowsAtOnce;
    const end = Math.min(rows.length, begin + rowsAtOnce);
    const own = Array.from(rows.subarray(begin, end), Number);
    const count = own.length;
    const values = new Float32Array(count * width);
    own.forEach((row, i) => values.set(source.subarray(row * width, (row + 1) * width), i * width));
    return {
      begin,
      rows: own,
      values: {
        [borderNames.input]: float32(values, [count, width]),
        [headNames.labels]: { dtype: 'int64', shape: [count, 1], data: labels.subarray(begin, end) },
        [headNames.weights]: float32(weights.subarray(begin, end), [count, 1]),
      },
    };
  });
}

/** Adds the rows of `values` to those of `target` that `rows` names. */
function addRows(target: Float32Array, values: Float32Array, rows: readonly number[]): void {
  const width = values.length / rows.length;
  rows.forEach((row, i) => {
    for (let k = 0; k < width; k++) target[row * width + k]! += values[i * width + k]!;
  });
}
