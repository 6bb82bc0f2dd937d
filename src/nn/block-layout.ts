/** The inputs of attention in blocks: their nodes, and their values for the sequences of a batch. */
import * as g from '../graph/index.ts';
import type { PositionValues } from './positions.ts';

const names = { blocks: 'attention_blocks', numbers: 'token_numbers', starts: 'sequence_starts' } as const;

/** The layout's nodes as inputs of a graph. */
export function blockLayoutInputs(): g.BlockLayout {
  return {
    blocks: g.input(names.blocks, 'int64', ['M', 4]),
    numbers: g.input(names.numbers, 'float32', ['N']),
    starts: g.input(names.starts, 'float32', ['N']),
  };
}

/** The inputs' values for sequences laid one after the other. */
export function blockLayoutValues(
  lengths: readonly number[],
  counts: g.HeadCounts,
  sizes?: g.BlockSizes,
): PositionValues[] {
  const { table, count, starts } = g.planAttentionBlocks(lengths, counts, sizes);
  return [
    { name: names.blocks, shape: [count, 4], values: Int32Array.from(table) },
    { name: names.numbers, shape: [starts.length], values: Float32Array.from(starts, (_, i) => i) },
    { name: names.starts, shape: [starts.length], values: starts },
  ];
}
