/**
 * Frozen weights in 4 or 8 bits as graphs see them: how their numbers are laid out, and the values of the 4-bit codes.
 * NF4 is from QLoRA (Dettmers et al. 2023); layouts and values are those of bitsandbytes.
 */

/** What a 4-bit code means. */
export type FourBitType = 'nf4' | 'fp4';

/** A weight [out, in] in 4-bit codes, high half of each byte first, with one scale for each block of values in row-major order. */
export interface FourBitLayout {
  readonly dtype: FourBitType;
  readonly shape: readonly [outputs: number, inputs: number];
  /** Values that share a scale. */
  readonly blockSize: number;
  /** Scales that share a scale of their own; undefined where the scales stand in f32. */
  readonly nestedBlockSize?: number | undefined;
}

/** A weight [out, in] in signed bytes, with one scale for each row: the largest magnitude, which 127 stands for. */
export interface EightBitLayout {
  readonly dtype: 'int8';
  readonly shape: readonly [outputs: number, inputs: number];
  /** Left out: products are taken in f32. */
  readonly integer?: IntegerProducts | undefined;
}

/** How products with a weight in signed bytes are taken in integers. */
export interface IntegerProducts {
  /** Bytes that stand for a value of x: 1, or 2, the second of which says what the first one leaves. */
  readonly terms: 1 | 2;
  /** The same for the gradient that comes back, or the weight as floats, with which it is then multiplied in f32. */
  readonly gradient: 1 | 2 | FloatLeaf;
  /** A copy of the weight laid out [in, out] is stored too: each direction reads it as it lies. */
  readonly bothWays: boolean;
}

/** A stored weight in floats. */
export interface FloatLeaf {
  readonly name: string;
  readonly dtype: 'float32' | 'float16' | 'bfloat16';
}

/** A weight whose products are taken in integers. */
export type IntegerLayout = EightBitLayout & { readonly integer: IntegerProducts };

/** Whether products with a weight are taken in integers. */
export function isIntegerLayout(layout: { readonly dtype: string }): layout is IntegerLayout {
  return layout.dtype === 'int8' && (layout as EightBitLayout).integer !== undefined;
}

/** A weight [out, in] in unsigned codes around their middle (8 or 128), a scale for each block of a row; short rows are filled up. */
export interface BlockCodes {
  readonly dtype: 'blocks';
  readonly bits: 4 | 8;
  readonly shape: readonly [outputs: number, inputs: number];
}

/** Values of a row that share a scale in block codes: the block that onnxruntime's kernels and ggml's types have in common. */
export const blockCodesSize = 32;

export type QuantizedLayout = FourBitLayout | EightBitLayout;

const fp4Twelfths = [0, 0.0625, 8, 12, 4, 6, 2, 3];

/** The value of each 4-bit code, between -1 and 1. */
export const fourBitValues: Readonly<Record<FourBitType, Float32Array>> = {
  nf4: Float32Array.of(
    -1,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1,
  ),
  fp4: Float32Array.from([...fp4Twelfths, ...fp4Twelfths.map((value) => 0 - value)], (value) => value / 12),
};

/** Bytes of f32 that a product expands at a time: large beside the product's own blocks, small beside a large model's weight. */
const maxChunkBytes = 64 * 1024 * 1024;

/** Bytes of f32 that weights of a group expand to together. */
const maxStackBytes = 32 * 1024 * 1024;

/** How many of `count` weights of one layout are expanded together: their blocks must lie side by side as those of one weight. */
export function stackedWeights({ shape: [outputs, inputs], ...layout }: QuantizedLayout, count: number): number {
  const values = outputs * inputs;
  const most = Math.min(count, Math.max(1, Math.floor(maxStackBytes / (4 * values))));
  if (layout.dtype === 'int8') return most;
  const { blockSize, nestedBlockSize = 1 } = layout;
  return values % 4 === 0 && values % (blockSize * nestedBlockSize) === 0 ? most : 1;
}

/** The rows of a weight that a product expands at a time, in order: whole blocks each. */
export function expandedRows({ shape: [outputs, inputs], ...layout }: QuantizedLayout): [begin: number, end: number][] {
  const blockSize = layout.dtype === 'int8' ? 1 : layout.blockSize;
  const wanted = Math.max(1, Math.ceil((outputs * inputs * 4) / maxChunkBytes));
  const rows = Math.ceil(outputs / wanted);
  if ((rows * inputs) % blockSize !== 0 || (rows * inputs) % 4 !== 0) return [[0, outputs]];
  return Array.from({ length: Math.ceil(outputs / rows) }, (_, i) => [i * rows, Math.min(outputs, (i + 1) * rows)]);
}
