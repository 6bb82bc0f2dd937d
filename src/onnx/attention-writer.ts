/** The parts that attention in blocks and in rows have in common: scores, masks, products over stacked heads. */
import type { Node, ScoreRule } from '../graph/index.ts';
import { dataTypeCodes } from './proto.ts';
import type { GraphWriter } from './writer.ts';

const lastAxis = -1n;

/** Queries and keys as numbers that masks and biases are made of. */
export interface Places {
  /** Of the queries, [rows, 1]. */
  readonly queries: string;
  /** Of the keys, [keys]; or what is 0 at the start of a sequence, for biases of the key's own place. */
  readonly keys: string;
}

/** Writes the steps of attention for one rule. */
export class AttentionWriter {
  readonly writer: GraphWriter;
  readonly rule: ScoreRule;
  /** Key heads, K. */
  readonly groups: number;
  /** Query heads of each, H/K. */
  readonly perGroup: number;
  /** Elements of a head, E. */
  readonly size: number;

  constructor(writer: GraphWriter, rule: ScoreRule, [, heads, size]: Node['shape'], [, groups]: Node['shape']) {
    this.writer = writer;
    this.rule = rule;
    this.groups = groups as number;
    this.perGroup = (heads as number) / this.groups;
    this.size = size as number;
  }

  /** f32[N, H, E] or f32[N, H x E] as f32[N, K, H/K, E]. */
  byHeads(x: string): string {
    return this.writer.emit('Reshape', [x, this.writer.integers([-1, this.groups, this.perGroup, this.size])]);
  }

  /** int64[1] values and numbers as one vector. */
  shape(...parts: readonly (string | number)[]): string {
    if (parts.every((part) => typeof part === 'number')) return this.writer.integers(parts);
    const names = parts.map((part) => (typeof part === 'number' ? this.writer.integers([part]) : part));
    return names.length === 1 ? names[0]! : this.writer.emit('Concat', names, { axis: 0n });
  }

  slice(x: string, ...ranges: readonly (readonly [axis: number, begin: string, end: string])[]): string {
    const begins = this.shape(...ranges.map(([, begin]) => begin));
    const ends = this.shape(...ranges.map(([, , end]) => end));
    return this.writer.emit('Slice', [x, begins, ends, this.writer.integers(ranges.map(([axis]) => axis))]);
  }

  /** int64[1]: size of an axis. */
  sizeOf(x: string, axis: number): string {
    return this.writer.emit('Shape', [x], { start: BigInt(axis), end: BigInt(axis + 1) });
  }

  /**
   * What alibi adds to scores, f32[K, H/K, rows or 1, keys].
   * @param places f32; @param own the places of the keys within their sequences, f32[keys].
   */
  alibi({ queries, keys }: Places, own: () => string): string | undefined {
    const { writer } = this;
    const { alibi } = this.rule;
    if (!alibi) return undefined;
    const { slopes, roundedScale } = alibi;
    const slope = writer.floats(slopes, [this.groups, this.perGroup, 1, 1]);
    if (roundedScale === undefined) return writer.emit('Mul', [slope, writer.emit('Sub', [keys, queries])]);
    const rounded = (x: string): string =>
      writer.emit('Cast', [writer.emit('Cast', [x], { to: BigInt(dataTypeCodes.bfloat16) })], {
        to: BigInt(dataTypeCodes.float32),
      });
    return writer.emit('Mul', [rounded(writer.emit('Mul', [rounded(slope), own()])), writer.floats([roundedScale])]);
  }

  /**
   * 0 where a query sees a key, -Infinity elsewhere: f32[rows, keys].
   * @param places f32; @param first the first key of each query's sequence, f32[rows, 1]; left out: all keys are of it.
   */
  mask({ queries, keys }: Places, first?: string): string {
    const { writer } = this;
    const { window } = this.rule;
    let visible = writer.emit('GreaterOrEqual', [queries, keys]);
    let lowest = first;
    if (window !== undefined) {
      const windowStart = writer.emit('Sub', [queries, writer.floats([window - 1])]);
      lowest = lowest === undefined ? windowStart : writer.emit('Max', [lowest, windowStart]);
    }
    if (lowest !== undefined) {
      visible = writer.emit('And', [visible, writer.emit('GreaterOrEqual', [keys, lowest])]);
    }
    return writer.emit('Where', [visible, writer.floats([0]), writer.floats([-Infinity])]);
  }

  /** Products over stacked heads: f32[heads, ..., ...]. */
  product(a: string, b: string, flags: { transA?: boolean; transB?: boolean; alpha?: number } = {}): string {
    const { transA = false, transB = false, alpha = 1 } = flags;
    const attributes = { transA: transA ? 1n : 0n, transB: transB ? 1n : 0n, alpha };
    return this.writer.emit('FusedMatMul', [a, b], attributes, 'com.microsoft');
  }

  /**
   * Probabilities f32[heads, H/K x rows, keys], and the tanh of capped scores, of the same shape.
   * @param bias what is added to the scores: f32[rows, keys], or f32[..., H/K, rows, keys].
   */
  probabilities(queries: string, keys: string, bias: string): { probabilities: string; tanh: string | undefined } {
    const { writer } = this;
    const { scale, softCap } = this.rule;
    let scores = this.product(queries, keys, { transB: true, alpha: softCap === undefined ? scale : scale / softCap });
    let tanh: string | undefined;
    if (softCap !== undefined) {
      tanh = writer.emit('Tanh', [scores]);
      scores = writer.emit('Mul', [tanh, writer.floats([softCap])]);
    }
    const stacked = writer.emit('Reshape', [scores, this.shape(-1, writer.emit('Shape', [bias]))]);
    const softmax = writer.emit('Softmax', [writer.emit('Add', [stacked, bias])], { axis: lastAxis });
    return { probabilities: writer.emit('Reshape', [softmax, writer.emit('Shape', [scores])]), tanh };
  }

  /**
   * The gradient of the scores before they are scaled.
   * @param arriving dy and, as a last column, minus the sum of dy y: f32[heads, H/K x rows, E + 1].
   * @param values with a column of ones: the sum is then subtracted by the product itself, f32[heads, keys, E + 1].
   */
  scoreGradient(
    { probabilities, tanh }: { probabilities: string; tanh: string | undefined },
    arriving: string,
    values: string,
  ): string {
    const { writer } = this;
    const gradient = writer.emit('Mul', [probabilities, this.product(arriving, values, { transB: true })]);
    if (tanh === undefined) return gradient;
    const slope = writer.emit('Sub', [writer.floats([1]), writer.emit('Mul', [tanh, tanh])]);
    return writer.emit('Mul', [gradient, slope]);
  }

  /** dy and minus its sum over dy y, f32[..., E + 1]; both f32[..., E]. */
  withSum(y: string, dy: string): string {
    const { writer } = this;
    const along = writer.emit('ReduceSum', [writer.emit('Mul', [dy, y]), writer.integers([-1])]);
    return writer.emit('Concat', [dy, writer.emit('Neg', [along])], { axis: lastAxis });
  }

  /** f32[a, b, E] with a column of ones: f32[a, b, E + 1]. */
  withOnes(values: string): string {
    const { writer } = this;
    const shape = this.shape(writer.emit('Shape', [values], { start: 0n, end: 2n }), 1);
    const ones = writer.emit('Expand', [writer.floats([1]), shape]);
    return writer.emit('Concat', [values, ones], { axis: lastAxis });
  }
}
