/**
 * Attention over short rows side by side: the tokens are laid out as padded rows, whose queries are taken in a few stretches,
 * each over the keys up to its own end.
 */
import { type Node, rowStretches } from '../graph/index.ts';
import { AttentionWriter } from './attention-writer.ts';
import type { GraphWriter } from './writer.ts';

/** Some queries of every row and the keys that they see. */
interface Stretch {
  /** int64[1]: queries of the stretch. */
  readonly queries: string;
  /** int64[1]: keys up to its end. */
  readonly keys: string;
  /** int64[B, queries]: tokens of the slots; N where there is none. */
  readonly tokens: string;
  readonly bias: string;
}

/** Writes the layout in rows. */
class RowWriter extends AttentionWriter {
  /** int64[1]: slots of a row, T. */
  readonly length: string;
  private readonly slots: string;
  private readonly inverse: string;
  private readonly steps: string;

  constructor(node: Node, rule: AttentionWriter['rule'], writer: GraphWriter, inputs: readonly string[]) {
    super(writer, rule, node.inputs[0]!.shape, node.inputs[1]!.shape);
    const [, , , slots, inverse, steps] = inputs as [string, string, string, string, string, string];
    this.length = writer.once(`row length ${steps}`, () => this.sizeOf(steps, 0));
    this.slots = writer.once(`slots ${slots}`, () => writer.emit('Reshape', [slots, this.shape(-1, this.length)]));
    this.inverse = inverse;
    this.steps = writer.once(`steps ${steps}`, () => writer.emit('Cast', [steps], { to: 1n }));
  }

  /** The stretches of all rows; layers of one rule share them. */
  stretches(): Stretch[] {
    const { writer } = this;
    return Array.from({ length: rowStretches }, (_, i) => {
      const key = `stretch ${i} ${this.slots} ${this.steps} ${JSON.stringify({ ...this.rule, scale: 0, softCap: 0 })}`;
      return writer.once(key, (): Stretch => {
        const bound = (part: number): string =>
          writer.emit('Div', [
            writer.emit('Add', [
              writer.emit('Mul', [this.length, writer.integers([part])]),
              writer.integers([rowStretches - 1]),
            ]),
            writer.integers([rowStretches]),
          ]);
        const begin = bound(i);
        const end = bound(i + 1);
        const column = writer.emit('Reshape', [this.slice(this.steps, [0, begin, end]), writer.integers([-1, 1])]);
        const places = { queries: column, keys: this.slice(this.steps, [0, writer.integers([0]), end]) };
        const mask = this.mask(places);
        const alibi = this.alibi(places, () => places.keys);
        return {
          queries: writer.emit('Sub', [end, begin]),
          keys: end,
          tokens: this.slice(this.slots, [1, begin, end]),
          bias: alibi === undefined ? mask : writer.emit('Add', [alibi, mask]),
        };
      });
    });
  }

  /** f32[N, K, ...] in rows, f32[B x K, T, width]; where a slot is empty stands the last token. */
  keyRows(x: string): string {
    const { writer } = this;
    const rows = writer.emit('Gather', [x, this.filled(this.slots, x)], { axis: 0n });
    const stacked = writer.emit('Transpose', [rows], { perm: [0n, 2n, 1n, 3n] });
    return writer.emit('Reshape', [stacked, this.shape(-1, this.length, this.size)]);
  }

  /** Tokens of slots, none of them beyond the last token of x. */
  filled(slots: string, x: string): string {
    const last = this.writer.emit('Sub', [this.sizeOf(x, 0), this.writer.integers([1])]);
    return this.writer.emit('Min', [slots, last]);
  }

  /** f32[N, K, H/K, width] of a stretch, f32[B x K, H/K x queries, width]. */
  queryRows(x: string, tokens: string, { queries }: Stretch, width: number): string {
    const { writer } = this;
    const rows = writer.emit('Gather', [x, tokens], { axis: 0n });
    const stacked = writer.emit('Transpose', [rows], { perm: [0n, 2n, 3n, 1n, 4n] });
    const count = writer.emit('Mul', [queries, writer.integers([this.perGroup])]);
    return writer.emit('Reshape', [stacked, this.shape(-1, count, width)]);
  }

  /** The keys of a stretch, from f32[B x K, T, ...]. */
  keysOf(x: string, { keys }: Stretch, index: number): string {
    return index === rowStretches - 1 ? x : this.slice(x, [1, this.writer.integers([0]), keys]);
  }

  /** The stretches' rows, f32[B x K, H/K x queries, E] each, as tokens f32[N, H x E]. */
  toTokens(parts: readonly string[], stretches: readonly Stretch[]): string {
    const { writer } = this;
    const turned = parts.map((part, i) => {
      const shape = this.shape(-1, this.groups, this.perGroup, stretches[i]!.queries, this.size);
      return writer.emit('Transpose', [writer.emit('Reshape', [part, shape])], { perm: [0n, 3n, 1n, 2n, 4n] });
    });
    const rows = writer.emit('Concat', turned, { axis: 1n });
    return this.pickTokens(rows, this.groups * this.perGroup * this.size);
  }

  /** f32[B, T, ...] as tokens f32[N, width]. */
  private pickTokens(rows: string, width: number): string {
    const slots = this.writer.emit('Reshape', [rows, this.writer.integers([-1, width])]);
    return this.writer.emit('Gather', [slots, this.inverse], { axis: 0n });
  }

  /** The stretches' gradients of their keys, f32[B x K, keys, E] each, summed, as tokens f32[N, K, E]. */
  keysToTokens(parts: readonly string[], stretches: readonly Stretch[]): string {
    const { writer } = this;
    const sum = parts.reduceRight((total, part, i) => {
      const missing = writer.emit('Sub', [this.length, stretches[i]!.keys]);
      const zeros = writer.emit('Expand', [writer.floats([0]), this.shape(this.sizeOf(part, 0), missing, this.size)]);
      return writer.emit('Add', [total, writer.emit('Concat', [part, zeros], { axis: 1n })]);
    });
    const byRow = writer.emit('Reshape', [sum, this.shape(-1, this.groups, this.length, this.size)]);
    const turned = writer.emit('Transpose', [byRow], { perm: [0n, 2n, 1n, 3n] });
    const tokens = this.pickTokens(turned, this.groups * this.size);
    return writer.emit('Reshape', [tokens, writer.integers([-1, this.groups, this.size])]);
  }
}

/** What both directions need; emitted once where a program holds both. */
interface Scored {
  /** f32[B x K, T, E]. */
  readonly keys: string;
  readonly values: string;
  readonly stretches: readonly {
    /** f32[B x K, H/K x queries, E]. */
    readonly queries: string;
    /** f32[B x K, H/K x queries, keys]. */
    readonly probabilities: string;
    readonly tanh: string | undefined;
  }[];
}

function scored(parts: RowWriter, stretches: readonly Stretch[], inputs: readonly string[]): Scored {
  const { writer, rule } = parts;
  const [q, k, v] = inputs as [string, string, string];
  return writer.once(`scored ${JSON.stringify(rule)} ${inputs.slice(0, 6).join()}`, (): Scored => {
    const keys = parts.keyRows(k);
    const byHeads = parts.byHeads(q);
    return {
      keys,
      values: parts.keyRows(v),
      stretches: stretches.map((stretch, i) => {
        const queries = parts.queryRows(byHeads, parts.filled(stretch.tokens, q), stretch, parts.size);
        return { queries, ...parts.probabilities(queries, parts.keysOf(keys, stretch, i), stretch.bias) };
      }),
    };
  });
}

/** The forward direction: f32[N, H x E]. */
export function rowAttention(node: Node<'causalAttention'>, writer: GraphWriter, inputs: readonly string[]): string {
  const parts = new RowWriter(node, node.attributes.rule, writer, inputs);
  const stretches = parts.stretches();
  const { values, stretches: found } = scored(parts, stretches, inputs);
  const mixed = stretches.map((stretch, i) => parts.product(found[i]!.probabilities, parts.keysOf(values, stretch, i)));
  return parts.toTokens(mixed, stretches);
}

/** The gradients of q, k and v. */
export function rowAttentionGradients(
  node: Node<'causalAttentionGradient'>,
  writer: GraphWriter,
  inputs: readonly string[],
): readonly string[] {
  const { rule } = node.attributes;
  const parts = new RowWriter(node, rule, writer, inputs);
  const { groups, perGroup, size } = parts;
  const [y, dy] = inputs.slice(-2).map((x) => parts.byHeads(x)) as [string, string];
  const stretches = parts.stretches();
  const { keys, values, stretches: found } = scored(parts, stretches, inputs);
  const extended = parts.withOnes(values);
  // one more token, of zeros, for the slots that hold none: nothing flows from there
  const noToken = writer.emit('Expand', [writer.floats([0]), writer.integers([1, groups, perGroup, size + 1])]);
  const arriving = writer.emit('Concat', [parts.withSum(y, dy), noToken], { axis: 0n });
  const flows = stretches.map((stretch, i) => {
    const { queries, probabilities } = found[i]!;
    const summed = parts.queryRows(arriving, stretch.tokens, stretch, size + 1);
    const dScores = parts.scoreGradient(found[i]!, summed, parts.keysOf(extended, stretch, i));
    const dRows = parts.slice(summed, [2, writer.integers([0]), writer.integers([size])]);
    return [
      parts.product(dScores, parts.keysOf(keys, stretch, i), { alpha: rule.scale }),
      parts.product(dScores, queries, { transA: true, alpha: rule.scale }),
      parts.product(probabilities, dRows, { transA: true }),
    ] as const;
  });
  const of = (index: 0 | 1 | 2): string[] => flows.map((parts) => parts[index]);
  const dQueries = parts.toTokens(of(0), stretches);
  return [
    writer.emit('Reshape', [dQueries, writer.integers([-1, groups * perGroup, size])]),
    parts.keysToTokens(of(1), stretches),
    parts.keysToTokens(of(2), stretches),
  ];
}
