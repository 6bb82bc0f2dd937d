/** What a model learns of a token's place: its number within the sequence, and the cosines and sines of its rotations. */
import * as g from '../graph/index.ts';
import { type RopeConfig, ropeTables } from './rope.ts';

/** Tables of one rotation, each f32[N, 1, E/2]. */
export interface Rotation {
  readonly cos: g.Node;
  readonly sin: g.Node;
}

/** Places of N tokens as nodes. */
export interface Positions {
  /** int64[N]: 0 for the first token of a sequence. */
  readonly ids: g.Node;
  /** One for each rotation of the model, in its order. */
  readonly rotations: readonly Rotation[];
}

const idsInput = 'position_ids';
const tableInput = (kind: 'cos' | 'sin', index: number): string => `rope_${kind}_${index}`;

/** The places as inputs of a graph, for a model with these rotations. */
export function positionInputs(ropes: readonly RopeConfig[]): Positions {
  const table = (kind: 'cos' | 'sin', { dimensions }: RopeConfig, index: number): g.Node =>
    g.input(tableInput(kind, index), 'float32', ['N', 1, dimensions / 2]);
  return {
    ids: g.input(idsInput, 'int64', ['N']),
    rotations: ropes.map((rope, i) => ({ cos: table('cos', rope, i), sin: table('sin', rope, i) })),
  };
}

/** Values of those inputs: f32 tables as arrays of their own, int64 numbers as Int32Array. */
export interface PositionValues {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array;
}

/**
 * The inputs' values for sequences laid one after the other; sequence i has positions from `starts[i]` (left out: 0) on.
 * @param wholes as in `ropeTables`.
 */
export function positionValues(
  ropes: readonly RopeConfig[],
  lengths: readonly number[],
  starts?: readonly number[],
  wholes?: readonly number[],
): PositionValues[] {
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const ids = new Int32Array(tokens);
  let token = 0;
  lengths.forEach((length, i) => {
    for (let t = 0; t < length; t++) ids[token++] = (starts?.[i] ?? 0) + t;
  });
  const tables = ropes.flatMap((rope, i): PositionValues[] => {
    const { cos, sin } = ropeTables(rope, lengths, starts, wholes);
    const shape = [tokens, 1, rope.dimensions / 2];
    return [
      { name: tableInput('cos', i), shape, values: cos },
      { name: tableInput('sin', i), shape, values: sin },
    ];
  });
  return [{ name: idsInput, shape: [tokens], values: ids }, ...tables];
}

/**
 * Turns the first elements of each head, as many as the tables are for; the rest stays. x f32[N, H, E].
 * @param interleaved neighbours turn together rather than halves (GPT-J, ChatGLM). The result then has its elements in
 *   another order, which scores do not see as long as queries and keys are turned alike.
 */
export function turn(x: g.Node, { cos, sin }: Rotation, interleaved = false): g.Node {
  const [tokens, heads, size] = x.shape as [g.Dim, number, number];
  const turned = 2 * (cos.shape[2] as number);
  const front = g.slice(x, 2, 0, turned);
  const halves = interleaved
    ? g.reshape(g.transpose(g.reshape(front, [tokens, heads, turned / 2, 2]), [0, 1, 3, 2]), [tokens, heads, turned])
    : front;
  const rotated = g.rotary(halves, cos, sin);
  return turned === size ? rotated : g.concat([rotated, g.slice(x, 2, turned, size)], 2);
}
