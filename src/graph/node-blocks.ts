/** What operations of many steps take of memory beside their results: expanded weights, tiles of attention, bytes of integers. */
import { defaultBlockSizes, headsAtATime } from './attention-blocks.ts';
import { bytesPerElement } from './dtype.ts';
import type { Node } from './node.ts';
import { rowStretches } from './ops/index.ts';
import { expandedRows, type QuantizedLayout, stackedWeights } from './quantized.ts';
import type { Dim, Shape } from './shape.ts';

/** Sizes of symbolic dimensions. */
export type Bindings = Readonly<Record<string, number>>;

/** Bytes of a tensor of this shape and dtype. */
export function tensorBytes(node: Pick<Node, 'shape' | 'dtype'>, bindings: Bindings): number {
  return countElements(node.shape, bindings) * bytesPerElement[node.dtype];
}

function countElements(shape: Shape, bindings: Bindings): number {
  return shape.reduce<number>((product, dim) => {
    const size = typeof dim === 'number' ? dim : bindings[dim];
    if (size === undefined) throw new Error(`no size is given for the dimension ${dim}`);
    return product * size;
  }, 1);
}

/** A product whose weight is expanded in stretches, one after the other. */
export interface Stretches {
  /** As `chain`, for each stretch; its last block is freed when the stretch's product stands. */
  readonly chains: readonly (readonly number[])[];
  /** Bytes of the product of one stretch. */
  readonly product: number;
  /** Whether each product is the sum so far, which frees the one before; else all stand until the result does. */
  readonly isSum: boolean;
}

/** Attention in blocks: its results wait as a list of small pieces until they are joined. */
export interface Loop {
  /** Stand as long as the loop runs. */
  readonly inputs: readonly number[];
  readonly passes: readonly LoopPass[];
}

interface LoopPass {
  /** Freed at its end. */
  readonly inside: readonly number[];
  /** Stand until the result does. */
  readonly pieces: readonly number[];
}

/** What an operation of many steps takes before its result and beside it, in bytes. */
export interface InnerBlocks {
  /** Made one after the other, each freed when the next one stands, the last one when the result does. */
  readonly chain: readonly number[];
  /** They stand beside the chain and the result, and are freed with it. */
  readonly beside: readonly number[];
  /** Products over stretches of a weight, behind the chain and before the result. */
  readonly stretches?: Stretches | undefined;
  /** Passes over blocks of rows, before the result. */
  readonly loop?: Loop | undefined;
}

/** @param size bytes of the result. @param mappedBytes what is mapped of a weight. */
export function innerBlocks(
  node: Node,
  size: number,
  bindings: Bindings,
  mappedBytes: (weight: Node) => number,
): InnerBlocks {
  switch (node.op) {
    case 'cast': {
      // what was read is copied before it is cast, what is mapped is not (see the lowering of casts)
      const weight = node.inputs[0]!;
      return {
        chain: weight.op === 'weight' && mappedBytes(weight) === 0 ? [tensorBytes(weight, {})] : [],
        beside: [],
      };
    }
    case 'groupedMatmul':
      return groupedBlocks(node as Node<'groupedMatmul'>, size, bindings);
    case 'adaptedMatmul':
      // the merged weight
      return { chain: [tensorBytes(node.inputs[1]!, bindings)], beside: [] };
    case 'causalAttention':
      return attentionBlocks(node as Node<'causalAttention'>, size, bindings);
    case 'causalAttentionGradient':
      return attentionGradientBlocks(node as Node<'causalAttentionGradient'>, bindings);
    case 'integerMatmul':
      return integerBlocks(node as Node<'integerMatmul'>, size, bindings);
    case 'quantizedMatmul':
      return quantizedBlocks(node as Node<'quantizedMatmul'>, size);
    default:
      return { chain: [], beside: [] };
  }
}

/**
 * The rows split into groups, which stand as long as the rows themselves; the products of the groups before they stand
 * together; and one weight in f32 where it is stored otherwise, of codes as many as are expanded together.
 */
function groupedBlocks(node: Node<'groupedMatmul'>, size: number, bindings: Bindings): InnerBlocks {
  const { layout, groups } = node.attributes;
  const rows = tensorBytes(node.inputs[0]!, bindings);
  const parts = [...evenly(rows, groups), ...evenly(size, groups)];
  if (layout) {
    const stacked = stackedWeights(layout, groups);
    const { chain, beside } =
      stacked > 1 ? expansionBlocks(layout, 0, stacked) : expansionBlocks(layout, size / groups);
    return { chain, beside: [...parts, ...beside] };
  }
  const weight = node.inputs[2]!;
  return { chain: weight.dtype === 'float32' ? [] : [countElements(weight.shape, {}) * 4], beside: parts };
}

function times(count: number, bytes: number): number[] {
  return Array.from({ length: count }, () => bytes);
}

function evenly(bytes: number, count: number): number[] {
  return times(count, bytes / count);
}

/** The scales, then stretch by stretch the rows in f32 and their product. */
function quantizedBlocks({ attributes: { layout, transposeB } }: Node<'quantizedMatmul'>, size: number): InnerBlocks {
  const { chain, beside } = scaleBlocks(layout);
  const rows = expandedRows(layout).map(([begin, end]) => expandedBlocks(layout, end - begin));
  if (rows.length === 1) return { chain: [...chain, ...rows[0]!], beside };
  const product = transposeB ? size / rows.length : size;
  return { chain, beside, stretches: { chains: rows, product, isSum: !transposeB } };
}

/**
 * Nested scales as indices, looked up, scaled; their sums with the offset stand as long as the product is under way. Where it
 * has several stretches, so do the scales before them: their shape is known, and they wait for others of their size (measured).
 */
function scaleBlocks(layout: QuantizedLayout): InnerBlocks {
  if (layout.dtype === 'int8' || layout.nestedBlockSize === undefined) return { chain: [], beside: [] };
  const bytes = Math.ceil((layout.shape[0] * layout.shape[1]) / layout.blockSize) * 4;
  return { chain: [bytes / 4, bytes, bytes, bytes], beside: [bytes] };
}

/** Rows of a weight: codes cut out, as indices, looked up, scaled. */
function expandedBlocks(layout: QuantizedLayout, rows: number, stacked = 1): number[] {
  const values = rows * layout.shape[1] * stacked;
  return layout.dtype === 'int8' ? [values, values * 4] : [values / 2, values, values * 4, values * 4];
}

/** A weight of a group's, or several that are expanded together; partial results stand beside the whole. */
function expansionBlocks(layout: QuantizedLayout, size: number, stacked = 1): InnerBlocks {
  const chunks = expandedRows(layout);
  const chain = expandedBlocks(layout, Math.max(...chunks.map(([begin, end]) => end - begin)), stacked);
  return { chain, beside: chunks.length > 1 ? evenly(size, chunks.length) : [] };
}

/**
 * What a product in integers needs beside its result of `size` bytes: x scaled for the weight's rows where it is a gradient, what
 * the first byte leaves where there are two, the bytes, the products of each before the rows' scales, a weight that is turned round.
 */
function integerBlocks({ attributes, inputs }: Node<'integerMatmul'>, size: number, bindings: Bindings): InnerBlocks {
  const { layout, transposeB } = attributes;
  const { terms, gradient, bothWays } = layout.integer;
  const count = transposeB ? terms : gradient === 2 ? 2 : 1;
  const x = tensorBytes(inputs[0]!, bindings);
  const bytes = evenly((x / 4) * count, count);
  const turned = transposeB && !bothWays ? [layout.shape[0] * layout.shape[1]] : [];
  const rounding = [...(transposeB ? [] : [x]), ...(count === 2 ? [x, x] : [])];
  return { chain: rounding, beside: [...bytes, ...evenly(size * count, count), ...turned] };
}

/** Queries, keys and values in rows, and the probabilities of the stretches. */
export function rowBlocks({ inputs }: Node, bindings: Bindings): number[] {
  const heads = inputs[0]!.shape[1] as number;
  const scores = rowScores(heads, bindings);
  const parts = rowStretches * (rowStretches + 1);
  return [
    ...inputs.slice(0, 3).map((input) => tensorBytes(input, bindings)),
    ...Array.from({ length: rowStretches }, (_, i) => (scores * 2 * (i + 1)) / parts),
  ];
}

/** The part of a square that the stretches compute. */
function rowScores(heads: number, bindings: Bindings): number {
  const { B: rows = 1, T: length = 0 } = bindings;
  return rows * heads * length * length * 4 * ((rowStretches + 1) / (2 * rowStretches));
}

/** A block of attention: bytes of its scores for the heads of a pass, and of its keys, for those and for all heads. */
interface AttentionBlock {
  readonly scores: number;
  readonly keys: number;
  readonly allKeys: number;
}

/** So many blocks of the longest row are played; those between them are much like them. */
const playedAttentionBlocks = 16;
/** Pieces that come one after the other are played as one of at most so many bytes: less than what is mapped by itself. */
const playedPieceBytes = 8e6;

/** The blocks that are played: the last ones first, as they run. */
function attentionBlocksOf(
  { inputs, attributes: { rule } }: Node<'causalAttention' | 'causalAttentionGradient'>,
  bindings: Bindings,
): AttentionBlock[] {
  const [dim, heads, size] = inputs[0]!.shape as [Dim, number, number];
  const groups = inputs[1]!.shape[1] as number;
  const tokens = bindings['T'] ?? countElements([dim], bindings);
  const rows = Math.min(defaultBlockSizes.rows, tokens);
  const ofRow = Math.ceil(tokens / rows);
  const playedCount = Math.min(ofRow, playedAttentionBlocks);
  return Array.from({ length: playedCount }, (_, i) => {
    const last = Math.min(tokens, Math.ceil((ofRow * (playedCount - i)) / playedCount) * rows);
    const keys = Math.min(last, (rule.window ?? tokens) + rows);
    const atATime = headsAtATime(rows, keys, { heads, groups });
    return {
      scores: rows * keys * atATime * (heads / groups) * 4,
      keys: keys * atATime * size * 4,
      allKeys: keys * groups * size * 4,
    };
  });
}

/** A list of results as it is played. */
function pieces(bytes: number): number[] {
  return evenly(bytes, Math.ceil(bytes / playedPieceBytes));
}

/** A loop over blocks. @param results bytes of each of its results, of which every block makes a piece. */
function attentionLoop(
  blocks: readonly AttentionBlock[],
  inputs: readonly number[],
  results: readonly number[],
  inside: (block: AttentionBlock) => readonly number[],
): Loop {
  const made = results.flatMap((bytes) => pieces(bytes / blocks.length));
  return { inputs, passes: blocks.map((block) => ({ inside: inside(block), pieces: made })) };
}

/** Keys and values turned round, and in each block scores before and after the mask. */
function attentionBlocks(node: Node<'causalAttention'>, size: number, bindings: Bindings): InnerBlocks {
  if (node.attributes.form === 'rows') {
    return { chain: [], beside: rowBlocks(node, bindings).map((bytes) => bytes / 2) };
  }
  const key = tensorBytes(node.inputs[1]!, bindings);
  const loop = attentionLoop(attentionBlocksOf(node, bindings), [key, key], [size], ({ scores, keys }) => [
    ...times(2, keys),
    ...times(2, scores),
  ]);
  return { chain: [], beside: [], loop };
}

/**
 * The three gradients are computed by the loop of the first, and wait as lists for their turn. Of keys and values: both turned
 * round and once more with a column of ones; of a block: the gradients of its keys, what was carried, and their sum.
 */
function attentionGradientBlocks(node: Node<'causalAttentionGradient'>, bindings: Bindings): InnerBlocks {
  const key = tensorBytes(node.inputs[1]!, bindings);
  const isInRows = node.attributes.form === 'rows';
  if (node.attributes.of !== 'q') {
    return { chain: [], beside: isInRows ? [key] : pieces(key) };
  }
  const own = tensorBytes(node, bindings);
  if (isInRows) {
    // the largest stretch's scores twice, dy with its sums in both layouts
    const scores = (2 * rowScores(node.inputs[0]!.shape[1] as number, bindings)) / rowStretches;
    return { chain: [], beside: [scores, scores, own, own, own, key, key] };
  }
  const blocks = attentionBlocksOf(node, bindings);
  const loop = attentionLoop(blocks, times(3, key), [own, key, key], ({ scores, keys, allKeys }) => [
    ...times(4, keys),
    ...times(4, scores),
    ...times(5, allKeys),
  ]);
  return { chain: [], beside: [], loop };
}
