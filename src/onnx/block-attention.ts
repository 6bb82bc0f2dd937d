/**
 * Attention in blocks as loops: one pass of the outer loop is a block of queries, one of the inner loop some of its heads.
 * Results come as lists of blocks that are joined at the end, so that blocks may differ in size and nothing is padded.
 *
 * The blocks are visited from the last to the first: the largest temporaries come first, so that every later one finds room
 * where an earlier one was. In the gradient the keys at a block's own place get no more after it: theirs is given out, and
 * only that of the keys before, as far as the block sees them, is carried on.
 */
import type { Node } from '../graph/index.ts';
import { AttentionWriter } from './attention-writer.ts';
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

/** Some of the key heads: int64[1] each. */
interface Heads {
  readonly begin: string;
  readonly end: string;
}

/** A value that a loop hands from pass to pass. */
interface Carried {
  readonly value: string;
  readonly inside: OnnxValue;
}

/** Writes loops over blocks and heads. */
class BlockWriter extends AttentionWriter {
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

  /** What is added to the scores of some heads; what all heads share is emitted here. */
  bias(tokens: Tokens, { begin, end, firstKey }: Block): (heads: Heads) => string {
    const { writer } = this;
    const column = (x: string): string =>
      writer.emit('Reshape', [this.slice(x, [0, begin, end]), writer.integers([-1, 1])]);
    const places = { queries: column(tokens.numbers), keys: this.slice(tokens.numbers, [0, firstKey, end]) };
    const mask = this.mask(places, column(tokens.starts));
    const alibi = this.alibi(places, () =>
      writer.emit('Sub', [places.keys, this.slice(tokens.starts, [0, firstKey, end])]),
    );
    if (alibi === undefined) return () => mask;
    return (heads) => writer.emit('Add', [this.slice(alibi, [0, heads.begin, heads.end]), mask]);
  }

  /** Rows of a block for some heads, f32[heads, H/K x queries, E], from f32[N, K, H/K, E]. */
  headRows(x: string, { begin, end }: Block, heads: Heads): string {
    const rows = this.slice(x, [0, begin, end], [1, heads.begin, heads.end]);
    const stacked = this.writer.emit('Transpose', [rows], { perm: [1n, 2n, 0n, 3n] });
    return this.writer.emit('Reshape', [stacked, this.shape(this.sizeOf(stacked, 0), -1, this.size)]);
  }

  /** Keys of a block for some heads, f32[heads, keys, ...], from f32[K, N, ...]. */
  headKeys(x: string, { end, firstKey }: Block, heads: Heads): string {
    return this.slice(x, [0, heads.begin, heads.end], [1, firstKey, end]);
  }

  /** Runs `emit` for all heads of a block, some at a time; its results, f32[heads, ...], come stacked: f32[K/heads, heads, ...]. */
  forHeads({ headsAtATime }: Block, results: number, emit: (heads: Heads) => readonly string[]): string[] {
    const { writer } = this;
    const passes = writer.emit('Div', [writer.integers([this.groups]), headsAtATime]);
    return this.loop(passes, [], results, (index) => {
      const begin = writer.emit('Mul', [writer.emit('Reshape', [index, writer.integers([1])]), headsAtATime]);
      return emit({ begin, end: writer.emit('Add', [begin, headsAtATime]) });
    });
  }

  /** A loop of `passes` passes. `emit` gives the next carried values, then results of which each pass adds one. */
  loop(
    passes: string,
    carried: readonly Carried[],
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

  /** How many blocks there are, int64[1], and the number of the last, int64. */
  passes({ blocks }: Tokens): { readonly count: string; readonly last: string } {
    const count = this.sizeOf(blocks, 0);
    return {
      count,
      last: this.writer.emit('Sub', [this.writer.emit('Squeeze', [count]), this.writer.integers([1], [])]),
    };
  }

  /** A list with one more tensor at its beginning. */
  insertFirst({ inside }: Carried, value: string): string {
    return this.writer.emit('SequenceInsert', [inside.name, value, this.writer.integers([0], [])]);
  }

  /** An empty list of tensors. */
  list(): Carried {
    return this.carried(this.writer.emit('SequenceEmpty', [], { dtype: BigInt(dataTypeCodes.float32) }), true);
  }

  carried(value: string, sequence = false): Carried {
    return { value, inside: { name: this.writer.freshName(), dtype: 'float32', sequence } };
  }

  /** f32[heads, H/K x queries, E] as f32[heads, H/K, queries, E]. */
  splitGroups(x: string): string {
    return this.writer.emit('Reshape', [x, this.writer.integers([0, this.perGroup, -1, this.size])]);
  }

  /** f32[K/heads, heads, H/K, queries, E] as rows f32[queries, H x E]. */
  toRows(stacked: string): string {
    const turned = this.writer.emit('Transpose', [stacked], { perm: [3n, 0n, 1n, 2n, 4n] });
    return this.writer.emit('Reshape', [turned, this.writer.integers([0, -1])]);
  }
}

/** The forward direction: f32[N, H x E]. */
export function blockAttention(node: Node<'causalAttention'>, writer: GraphWriter, inputs: readonly string[]): string {
  const [q, k] = node.inputs as [Node, Node];
  const parts = new BlockWriter(writer, node.attributes.rule, q.shape, k.shape);
  const tokens = parts.tokens(inputs);
  const results = parts.list();
  const { count, last } = parts.passes(tokens);
  const [list] = parts.loop(count, [results], 0, (pass) => {
    const block = parts.block(tokens, writer.emit('Sub', [last, pass]));
    const bias = parts.bias(tokens, block);
    const [mixed] = parts.forHeads(block, 1, (heads) => {
      const queries = parts.headRows(tokens.queries, block, heads);
      const keys = parts.headKeys(tokens.keys, block, heads);
      const { probabilities } = parts.probabilities(queries, keys, bias(heads));
      return [parts.splitGroups(parts.product(probabilities, parts.headKeys(tokens.values, block, heads)))];
    });
    return [parts.insertFirst(results, parts.toRows(mixed!))];
  });
  return writer.emit('ConcatFromSequence', [list!], { axis: 0n });
}

/** The gradients of q, k and v. */
export function blockAttentionGradients(
  node: Node<'causalAttentionGradient'>,
  writer: GraphWriter,
  inputs: readonly string[],
): readonly string[] {
  const [q, k] = node.inputs as [Node, Node];
  const { rule } = node.attributes;
  const parts = new BlockWriter(writer, rule, q.shape, k.shape);
  const { groups, perGroup, size } = parts;
  const tokens = parts.tokens(inputs);
  const [y, dy] = inputs.slice(-2).map((x) => parts.byHeads(x)) as [string, string];
  const values = parts.withOnes(tokens.values);
  const lists = [parts.list(), parts.list(), parts.list()];
  const empty = writer.floats([], [groups, 0, size]);
  const carriedKeys = parts.carried(empty);
  const carriedValues = parts.carried(empty);
  const { count, last } = parts.passes(tokens);
  const results = parts.loop(count, [...lists, carriedKeys, carriedValues], 0, (pass) => {
    const block = parts.block(tokens, writer.emit('Sub', [last, pass]));
    const bias = parts.bias(tokens, block);
    const [dQueries, dKeys, dValues] = parts.forHeads(block, 3, (heads) => {
      const queries = parts.headRows(tokens.queries, block, heads);
      const keys = parts.headKeys(tokens.keys, block, heads);
      const arriving = parts.headRows(dy, block, heads);
      const probable = parts.probabilities(queries, keys, bias(heads));
      const summed = parts.withSum(parts.headRows(y, block, heads), arriving);
      const dScores = parts.scoreGradient(probable, summed, parts.headKeys(values, block, heads));
      return [
        parts.splitGroups(parts.product(dScores, keys, { alpha: rule.scale })),
        parts.product(dScores, queries, { transA: true, alpha: rule.scale }),
        parts.product(probable.probabilities, arriving, { transA: true }),
      ];
    }) as [string, string, string];
    const before = writer.emit('Sub', [block.begin, block.firstKey]);
    const settle = (gradient: string, carried: string): { readonly here: string; readonly before: string } => {
      const all = writer.emit('Reshape', [gradient, writer.integers([groups, -1, size])]);
      const missing = writer.emit('Sub', [parts.sizeOf(all, 1), parts.sizeOf(carried, 1)]);
      const zeros = writer.emit('Expand', [writer.floats([0]), parts.shape(groups, missing, size)]);
      const total = writer.emit('Add', [all, writer.emit('Concat', [zeros, carried], { axis: 1n })]);
      const here = parts.slice(total, [1, before, parts.sizeOf(total, 1)]);
      return {
        here: writer.emit('Transpose', [here], { perm: [1n, 0n, 2n] }),
        before: parts.slice(total, [1, writer.integers([0]), before]),
      };
    };
    const settledKeys = settle(dKeys, carriedKeys.inside.name);
    const settledValues = settle(dValues, carriedValues.inside.name);
    const found = [parts.toRows(dQueries), settledKeys.here, settledValues.here];
    return [...found.map((rows, i) => parts.insertFirst(lists[i]!, rows)), settledKeys.before, settledValues.before];
  });
  const joined = results.slice(0, 3).map((list) => writer.emit('ConcatFromSequence', [list], { axis: 0n }));
  const heads = writer.integers([-1, groups * perGroup, size]);
  return [writer.emit('Reshape', [joined[0]!, heads]), joined[1]!, joined[2]!];
}
