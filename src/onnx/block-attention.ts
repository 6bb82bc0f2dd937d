/**
 * Attention in blocks as loops: one pass of the outer loop is a block of queries, one of the inner loop some of its heads.
 * Results come as lists of blocks that are joined at the end, so that blocks may differ in size and nothing is padded.
 *
 * The gradient visits the blocks from the last to the first. After a block, the keys at its own place get no more
 * gradient: theirs is given out, and only that of the keys before, as far as the block sees them, is carried on.
 */
import type { Node, ScoreRule } from '../graph/index.ts';
import { dataTypeCodes, type OnnxGraph, type OnnxValue } from './proto.ts';
import type { GraphWriter } from './writer.ts';

/** Values outside the loops that every block reads. */
interface Tokens {
  /** f32[N, K, H/K, E]. */
  readonly queries: string;
  /** f32[K, N, E]. */
  readonly keys: string;
  readonly values: string;
  readonly blocks: string;
  readonly numbers: string;
  readonly starts: string;
}

/** One block: int64[1] each. */
interface Block {
  readonly begin: string;
  readonly end: string;
  readonly firstKey: string;
  readonly headsAtATime: string;
}

const lastAxis = -1n;

/** Writes the parts that both directions have in common. */
class AttentionWriter {
  private readonly writer: GraphWriter;
  private readonly rule: ScoreRule;
  readonly groups: number;
  readonly perGroup: number;
  readonly size: number;

  constructor(writer: GraphWriter, rule: ScoreRule, [, heads, size]: Node['shape'], [, groups]: Node['shape']) {
    this.writer = writer;
    this.rule = rule;
    this.groups = groups as number;
    this.perGroup = (heads as number) / this.groups;
    this.size = size as number;
  }

  tokens(inputs: readonly string[]): Tokens {
    const [q, k, v, blocks, numbers, starts] = inputs as [string, string, string, string, string, string];
    return {
      queries: this.byHeads(q),
      keys: this.writer.emit('Transpose', [k], { perm: [1n, 0n, 2n] }),
      values: this.writer.emit('Transpose', [v], { perm: [1n, 0n, 2n] }),
      blocks,
      numbers,
      starts,
    };
  }

  /** f32[N, H, E] or f32[N, H x E] as f32[N, K, H/K, E]. */
  byHeads(x: string): string {
    return this.writer.emit('Reshape', [x, this.writer.integers([-1, this.groups, this.perGroup, this.size])]);
  }

  slice(x: string, ranges: readonly (readonly [axis: number, begin: string, end: string])[]): string {
    const { writer } = this;
    const join = (parts: readonly string[]): string =>
      parts.length === 1 ? parts[0]! : writer.emit('Concat', parts, { axis: 0n });
    const begins = join(ranges.map(([, begin]) => begin));
    const ends = join(ranges.map(([, , end]) => end));
    return writer.emit('Slice', [x, begins, ends, writer.integers(ranges.map(([axis]) => axis))]);
  }

  block(tokens: Tokens, index: string): Block {
    const { writer } = this;
    const row = writer.emit('Gather', [tokens.blocks, index], { axis: 0n });
    const [begin, end, first, headsAtATime] = writer.emitMany('Split', [row, writer.integers([1, 1, 1, 1])], 4, {
      axis: 0n,
    }) as [string, string, string, string];
    const { window } = this.rule;
    const firstKey =
      window === undefined
        ? first
        : writer.emit('Max', [first, writer.emit('Sub', [begin, writer.integers([window - 1])])]);
    return { begin, end, firstKey, headsAtATime };
  }

  /** 0 where a query of the block sees a key, -Infinity elsewhere: f32[queries, keys]. */
  mask(tokens: Tokens, { begin, end, firstKey }: Block): string {
    const { writer } = this;
    const column = writer.integers([-1, 1]);
    const keys = this.slice(tokens.numbers, [[0, firstKey, end]]);
    const queries = writer.emit('Reshape', [this.slice(tokens.numbers, [[0, begin, end]]), column]);
    let first = writer.emit('Reshape', [this.slice(tokens.starts, [[0, begin, end]]), column]);
    const { window } = this.rule;
    if (window !== undefined) {
      first = writer.emit('Max', [first, writer.emit('Sub', [queries, writer.floats([window - 1])])]);
    }
    const visible = writer.emit('And', [
      writer.emit('GreaterOrEqual', [queries, keys]),
      writer.emit('GreaterOrEqual', [keys, first]),
    ]);
    return writer.emit('Where', [visible, writer.floats([0]), writer.floats([-Infinity])]);
  }

  /** What alibi adds to scores [K, H/K, queries, keys]; it broadcasts to them. */
  alibi(tokens: Tokens, { begin, end, firstKey }: Block): string | undefined {
    const { writer } = this;
    const { alibi } = this.rule;
    if (!alibi) return undefined;
    const { slopes, roundedScale } = alibi;
    const slope = writer.floats(slopes, [this.groups, this.perGroup, 1, 1]);
    const keys = this.slice(tokens.numbers, [[0, firstKey, end]]);
    const queries = this.slice(tokens.numbers, [[0, begin, end]]);
    const column = writer.integers([-1, 1]);
    if (roundedScale === undefined) {
      return writer.emit('Mul', [slope, writer.emit('Sub', [keys, writer.emit('Reshape', [queries, column])])]);
    }
    const rounded = (x: string): string =>
      writer.emit('Cast', [writer.emit('Cast', [x], { to: BigInt(dataTypeCodes.bfloat16) })], {
        to: BigInt(dataTypeCodes.float32),
      });
    const places = writer.emit('Sub', [keys, this.slice(tokens.starts, [[0, firstKey, end]])]);
    return writer.emit('Mul', [rounded(writer.emit('Mul', [rounded(slope), places])), writer.floats([roundedScale])]);
  }

  /** Products over stacked heads: f32[heads, rows, ...]. */
  product(a: string, b: string, flags: { transA?: boolean; transB?: boolean; alpha?: number } = {}): string {
    const { transA = false, transB = false, alpha = 1 } = flags;
    const attributes = { transA: transA ? 1n : 0n, transB: transB ? 1n : 0n, alpha };
    return this.writer.emit('FusedMatMul', [a, b], attributes, 'com.microsoft');
  }

  /** Rows of a block for some heads, f32[heads, H/K x queries, width], from f32[N, K, H/K, width]. */
  headRows(x: string, { begin, end }: Block, heads: Block, width = this.size): string {
    const { writer } = this;
    const rows = this.slice(x, [
      [0, begin, end],
      [1, heads.begin, heads.end],
    ]);
    const stacked = writer.emit('Transpose', [rows], { perm: [1n, 2n, 0n, 3n] });
    const count = writer.emit('Shape', [stacked], { start: 0n, end: 1n });
    const shape = writer.emit('Concat', [count, writer.integers([-1, width])], { axis: 0n });
    return writer.emit('Reshape', [stacked, shape]);
  }

  /** Keys of a block for some heads, f32[heads, keys, ...], from f32[K, N, ...]. */
  headKeys(x: string, { end, firstKey }: Block, heads: Block): string {
    return this.slice(x, [
      [0, heads.begin, heads.end],
      [1, firstKey, end],
    ]);
  }

  /** Probabilities f32[heads, H/K x queries, keys], and the tanh of capped scores, of the same shape. */
  probabilities(
    queries: string,
    keys: string,
    mask: string,
    alibi: string | undefined,
    heads: Block,
  ): { probabilities: string; tanh: string | undefined } {
    const { writer } = this;
    const { scale, softCap } = this.rule;
    let scores = this.product(queries, keys, { transB: true, alpha: softCap === undefined ? scale : scale / softCap });
    let tanh: string | undefined;
    if (softCap !== undefined) {
      tanh = writer.emit('Tanh', [scores]);
      scores = writer.emit('Mul', [tanh, writer.floats([softCap])]);
    }
    const flat = writer.emit('Shape', [scores]);
    const shape = writer.emit(
      'Concat',
      [
        writer.emit('Shape', [scores], { start: 0n, end: 1n }),
        writer.integers([this.perGroup]),
        writer.emit('Shape', [mask]),
      ],
      { axis: 0n },
    );
    let biased = writer.emit('Reshape', [scores, shape]);
    if (alibi !== undefined) {
      biased = writer.emit('Add', [biased, this.slice(alibi, [[0, heads.begin, heads.end]])]);
    }
    const softmax = writer.emit('Softmax', [writer.emit('Add', [biased, mask])], { axis: lastAxis });
    return { probabilities: writer.emit('Reshape', [softmax, flat]), tanh };
  }

  /** Runs `emit` for all heads of a block, some at a time; its results, f32[heads, ...], come stacked: f32[K/heads, heads, ...]. */
  forHeads({ headsAtATime }: Block, results: number, emit: (heads: Block) => readonly string[]): string[] {
    const { writer } = this;
    const passes = writer.emit('Div', [writer.integers([this.groups]), headsAtATime]);
    return this.loop(passes, [], results, (index) => {
      const begin = writer.emit('Mul', [writer.emit('Reshape', [index, writer.integers([1])]), headsAtATime]);
      const end = writer.emit('Add', [begin, headsAtATime]);
      return emit({ begin, end, firstKey: begin, headsAtATime });
    });
  }

  /** A loop of `passes` passes. `carried` are values with their names inside; `emit` gives the next ones, then `scanned` results. */
  loop(
    passes: string,
    carried: readonly { readonly value: string; readonly inside: OnnxValue }[],
    scanned: number,
    emit: (index: string) => readonly string[],
  ): string[] {
    const { writer } = this;
    const index = writer.freshName();
    const condition = writer.freshName();
    const inputs: OnnxValue[] = [
      { name: index, dtype: 'int64', shape: [] },
      { name: condition, dtype: 'bool', shape: [] },
      ...carried.map(({ inside }) => inside),
    ];
    const body: OnnxGraph = writer.body(inputs, () => {
      const going = writer.emit('Identity', [condition]);
      const results = emit(index).map((name, i): OnnxValue => ({
        ...(carried[i]?.inside ?? { dtype: 'float32' }),
        name,
      }));
      return [{ name: going, dtype: 'bool', shape: [] }, ...results];
    });
    return writer.emitMany('Loop', [passes, '', ...carried.map(({ value }) => value)], carried.length + scanned, {
      body,
    });
  }

  /** An empty list of tensors, as a loop carries it. */
  list(): { readonly value: string; readonly inside: OnnxValue } {
    return this.carried(this.writer.emit('SequenceEmpty', [], { dtype: BigInt(dataTypeCodes.float32) }), true);
  }

  carried(value: string, sequence = false): { readonly value: string; readonly inside: OnnxValue } {
    return { value, inside: { name: this.writer.freshName(), dtype: 'float32', sequence } };
  }

  /** f32[K/heads, heads, H/K, queries, E] as rows f32[queries, H x E]. */
  toRows(stacked: string): string {
    const turned = this.writer.emit('Transpose', [stacked], { perm: [3n, 0n, 1n, 2n, 4n] });
    return this.writer.emit('Reshape', [turned, this.writer.integers([0, -1])]);
  }
}

/** The forward direction: f32[N, H x E]. */
export function lowerBlockAttention(
  node: Node<'blockAttention'>,
  writer: GraphWriter,
  inputs: readonly string[],
): string {
  const [q, k] = node.inputs as [Node, Node];
  const parts = new AttentionWriter(writer, node.attributes.rule, q.shape, k.shape);
  const tokens = parts.tokens(inputs);
  const results = parts.list();
  const count = writer.emit('Shape', [tokens.blocks], { start: 0n, end: 1n });
  const [list] = parts.loop(count, [results], 0, (index) => {
    const block = parts.block(tokens, index);
    const mask = parts.mask(tokens, block);
    const alibi = parts.alibi(tokens, block);
    const [mixed] = parts.forHeads(block, 1, (heads) => {
      const queries = parts.headRows(tokens.queries, block, heads);
      const keys = parts.headKeys(tokens.keys, block, heads);
      const values = parts.headKeys(tokens.values, block, heads);
      const { probabilities } = parts.probabilities(queries, keys, mask, alibi, heads);
      return [splitGroups(writer, parts, parts.product(probabilities, values))];
    });
    return [writer.emit('SequenceInsert', [results.inside.name, parts.toRows(mixed!)])];
  });
  return writer.emit('ConcatFromSequence', [list!], { axis: 0n });
}

/** f32[heads, H/K x queries, E] as f32[heads, H/K, queries, E]. */
function splitGroups(writer: GraphWriter, parts: AttentionWriter, x: string): string {
  return writer.emit('Reshape', [x, writer.integers([0, parts.perGroup, -1, parts.size])]);
}

/** One of the three gradients; they share their loop. */
export function lowerBlockAttentionGradient(
  node: Node<'blockAttentionGradient'>,
  writer: GraphWriter,
  inputs: readonly string[],
): string {
  const { rule, of } = node.attributes;
  const key = `attention gradient ${JSON.stringify(rule)} ${inputs.join()}`;
  const gradients = writer.once(key, () => gradientLoop(node, writer, inputs));
  return gradients[['q', 'k', 'v'].indexOf(of)]!;
}

function gradientLoop(
  node: Node<'blockAttentionGradient'>,
  writer: GraphWriter,
  inputs: readonly string[],
): readonly string[] {
  const [q, k] = node.inputs as [Node, Node];
  const { rule } = node.attributes;
  const parts = new AttentionWriter(writer, rule, q.shape, k.shape);
  const { groups, perGroup, size } = parts;
  const tokens = parts.tokens(inputs);
  const [y, dy] = inputs.slice(-2).map((x) => parts.byHeads(x)) as [string, string];
  // a column of ones beside the values: the sum of dy y, subtracted from every dy vᵀ, then comes out of the product itself
  const ones = writer.emit('Expand', [
    writer.floats([1]),
    writer.emit('Concat', [writer.integers([groups]), writer.emit('Shape', [tokens.numbers]), writer.integers([1])], {
      axis: 0n,
    }),
  ]);
  const extended = writer.emit('Concat', [tokens.values, ones], { axis: lastAxis });
  const lists = [parts.list(), parts.list(), parts.list()];
  const empty = writer.floats([], [groups, 0, size]);
  const carriedKeys = parts.carried(empty);
  const carriedValues = parts.carried(empty);
  const count = writer.emit('Shape', [tokens.blocks], { start: 0n, end: 1n });
  const results = parts.loop(count, [...lists, carriedKeys, carriedValues], 0, (pass) => {
    const index = writer.emit('Sub', [
      writer.emit('Sub', [writer.emit('Reshape', [count, writer.integers([], [0])]), pass]),
      writer.integers([1], []),
    ]);
    const block = parts.block(tokens, index);
    const mask = parts.mask(tokens, block);
    const alibi = parts.alibi(tokens, block);
    const [dQueries, dKeys, dValues] = parts.forHeads(block, 3, (heads) => {
      const queries = parts.headRows(tokens.queries, block, heads);
      const keys = parts.headKeys(tokens.keys, block, heads);
      const values = parts.headKeys(extended, block, heads);
      const arriving = parts.headRows(dy, block, heads);
      const along = writer.emit('ReduceSum', [
        writer.emit('Mul', [arriving, parts.headRows(y, block, heads)]),
        writer.integers([-1]),
      ]);
      const { probabilities, tanh } = parts.probabilities(queries, keys, mask, alibi, heads);
      const centred = writer.emit('Concat', [arriving, writer.emit('Neg', [along])], { axis: lastAxis });
      let dScores = writer.emit('Mul', [probabilities, parts.product(centred, values, { transB: true })]);
      if (tanh !== undefined) {
        const slope = writer.emit('Sub', [writer.floats([1]), writer.emit('Mul', [tanh, tanh])]);
        dScores = writer.emit('Mul', [dScores, slope]);
      }
      return [
        splitGroups(writer, parts, parts.product(dScores, keys, { alpha: rule.scale })),
        parts.product(dScores, queries, { transA: true, alpha: rule.scale }),
        parts.product(probabilities, arriving, { transA: true }),
      ];
    }) as [string, string, string];
    const own = writer.emit('Sub', [block.begin, block.firstKey]);
    const settle = (gradient: string, carried: string): { here: string; before: string } => {
      const all = writer.emit('Reshape', [gradient, writer.integers([groups, -1, size])]);
      const missing = writer.emit('Sub', [
        writer.emit('Shape', [all], { start: 1n, end: 2n }),
        writer.emit('Shape', [carried], { start: 1n, end: 2n }),
      ]);
      const zeros = writer.emit('Expand', [
        writer.floats([0]),
        writer.emit('Concat', [writer.integers([groups]), missing, writer.integers([size])], { axis: 0n }),
      ]);
      const total = writer.emit('Add', [all, writer.emit('Concat', [zeros, carried], { axis: 1n })]);
      const whole = writer.integers([2 ** 31 - 1]);
      const here = writer.emit('Transpose', [parts.slice(total, [[1, own, whole]])], { perm: [1n, 0n, 2n] });
      return { here, before: parts.slice(total, [[1, writer.integers([0]), own]]) };
    };
    const settledKeys = settle(dKeys, carriedKeys.inside.name);
    const settledValues = settle(dValues, carriedValues.inside.name);
    const first = writer.integers([0], []);
    const insert = (i: number, rows: string): string =>
      writer.emit('SequenceInsert', [lists[i]!.inside.name, rows, first]);
    return [
      insert(0, parts.toRows(dQueries)),
      insert(1, settledKeys.here),
      insert(2, settledValues.here),
      settledKeys.before,
      settledValues.before,
    ];
  });
  const joined = results.slice(0, 3).map((list) => writer.emit('ConcatFromSequence', [list], { axis: 0n }));
  const heads = writer.integers([-1, groups * perGroup, size]);
  return [writer.emit('Reshape', [joined[0]!, heads]), joined[1]!, joined[2]!];
}
