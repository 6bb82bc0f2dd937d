/**
 * The output layer and the loss over stretches of the vocabulary and of the labelled rows: neither all logits nor an f32 copy
 * of the output table exists. A first pass gives the log-sum-exp of every row from that of each stretch, a second one the
 * gradients. Pure graph work; `head-runner.ts` runs it.
 */
import * as g from '../graph/index.ts';
import { ShapeError } from '../errors.ts';
import type { Model, ParameterSource } from '../models/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { borderNames, gradientOutputs, type Outputs } from './segments.ts';

/** Labelled rows at a time, and logits: 16 MB, as several tensors of that size are alive at once. */
const maxHeadRows = 1024;
const maxLogits = 4 << 20;

/** Labelled rows that a stretch of `columns` ids takes at a time. */
export function headRowsAtOnce(columns: number, tokensAtOnce = Infinity): number {
  return Math.max(1, Math.min(maxHeadRows, tokensAtOnce, Math.floor(maxLogits / columns)));
}

/** Names of what a stretch is given and gives, besides `borderNames`. */
export const headNames = {
  /** int64[R]: the labelled rows among the tokens. */
  rows: 'label_rows',
  labels: 'labels',
  weights: 'label_weights',
  /** int64[1, C]: the ids of the stretch. */
  columns: 'columns',
  /** f32[R, 1]: log-sum-exp of each row, over the stretch and over all. */
  stretchLse: 'stretch_lse',
  lse: 'lse',
  /** f32[R, 1]: the logit of the label, 0 where the stretch does not hold it. */
  picked: 'picked',
} as const;

/** A stretch of the vocabulary. */
export interface HeadStretch {
  readonly begin: number;
  readonly end: number;
  readonly forward: Outputs;
  readonly backward: Outputs;
}

/** Rows of a stored weight as a weight of their own. */
export interface WeightRows {
  readonly weight: string;
  readonly begin: number;
  readonly bytesPerRow: number;
  readonly bytes: number;
}

export interface HeadChunks {
  readonly stretches: readonly HeadStretch[];
  /** Where the weights that the stretches name lie. */
  readonly rows: ReadonlyMap<string, WeightRows>;
}

/** The stored table of a product x W^T; undefined where it is no product with a frozen table of floats alone. */
function frozenTable(logits: g.Node, x: g.Node): g.Node<'weight'> | undefined {
  if (logits.op !== 'matmul' || logits.inputs[0] !== x) return undefined;
  const table = logits.inputs[1]!;
  const stored = table.op === 'cast' ? table.inputs[0]! : table;
  return stored.op === 'weight' ? (stored as g.Node<'weight'>) : undefined;
}

/**
 * The head in stretches; undefined where the family's output layer cannot be cut, or the output table moves or has an adapter.
 * @param tableBytes bytes of a stretch of the table in f32.
 */
export function headChunks(model: Model, method: TuningMethod, tableBytes: number): HeadChunks | undefined {
  const rows = new Map<string, WeightRows>();
  const source = method.source(true);
  let table: g.Node<'weight'> | undefined;
  const probing: ParameterSource = {
    ...source,
    outputLogits: (module, x, tiedTo) => {
      const logits = source.outputLogits(module, x, tiedTo);
      table = frozenTable(logits, x);
      return logits;
    },
  };
  model.logits(probing, g.input('probe', 'float32', ['R', model.hiddenSize]));
  if (!table) return undefined;
  const [vocabulary, width] = table.shape as readonly [number, number];
  const count = Math.ceil((vocabulary * width * 4) / tableBytes);
  const size = Math.ceil(vocabulary / count);
  const stretches: HeadStretch[] = [];
  for (let begin = 0; begin < vocabulary; begin += size) {
    const end = Math.min(vocabulary, begin + size);
    const stretch = buildStretch(model, method, source, table, rows, [begin, end]);
    if (!stretch) return undefined;
    stretches.push(stretch);
  }
  return { stretches, rows };
}

function buildStretch(
  model: Model,
  method: TuningMethod,
  source: ParameterSource,
  table: g.Node<'weight'>,
  rows: Map<string, WeightRows>,
  [begin, end]: readonly [number, number],
): HeadStretch | undefined {
  const { name: weight } = table.attributes;
  const [vocabulary, width] = table.shape as readonly [number, number];
  const name = `${weight} rows ${begin} to ${end}`;
  const bytesPerRow = width * g.bytesPerElement[table.dtype];
  rows.set(name, { weight, begin, bytesPerRow, bytes: (end - begin) * bytesPerRow });
  const part = g.cast(g.weight(name, table.dtype, [end - begin, width]), 'float32');
  const x = g.input(borderNames.input, 'float32', ['R', model.hiddenSize]);
  const cut: ParameterSource = {
    ...source,
    // what belongs to single ids, as a bias does, and the table itself where a family looks at its rows
    parameter: (parameter) => {
      if (parameter === weight) return part;
      const whole = source.parameter(parameter);
      return whole.shape.length === 1 && whole.shape[0] === vocabulary ? g.slice(whole, 0, begin, end) : whole;
    },
    outputLogits: (_module, input) => g.matmul(input, part, { transposeB: true }),
  };
  let logits: g.Node;
  try {
    logits = model.logits(cut, x);
  } catch (error) {
    // a family that does more with its output table than multiply
    if (error instanceof ShapeError) return undefined;
    throw error;
  }
  const labels = g.input(headNames.labels, 'int64', ['R', 1]);
  const weights = g.input(headNames.weights, 'float32', ['R', 1]);
  const isLabel = g.equal(labels, g.input(headNames.columns, 'int64', [1, end - begin]));
  const max = g.reduceMax(logits, [1]);
  const lse = g.add(max, g.log(g.reduceSum(g.exp(g.sub(logits, max)), [1])));
  const forward = {
    [headNames.stretchLse]: lse,
    [headNames.picked]: g.reduceSum(g.where(isLabel, logits, g.scalar(0)), [1]),
  };
  const probabilities = g.exp(g.sub(logits, g.input(headNames.lse, 'float32', ['R', 1])));
  const seed = g.mul(g.where(isLabel, g.sub(probabilities, g.scalar(1)), probabilities), weights);
  return {
    begin,
    end,
    forward,
    backward: gradientOutputs([{ output: logits, seed }], { [borderNames.leaving]: x }, method),
  };
}
