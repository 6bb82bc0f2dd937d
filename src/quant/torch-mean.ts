/**
 * The mean of f32 values as PyTorch computes it on one thread with AVX2 (ATen/native/cpu/SumKernel.cpp: cascade sum), to the
 * bit: 8 lanes of 4 rows each, partial sums on four levels. bitsandbytes' offset of nested scales is such a mean.
 */

const lanes = 8;
const rows = 4;
const levels = 4;

/** Sum of columns 0 to `columns - 1` of values laid out as [size, columns], level by level: f32[columns]. */
function cascade(values: Float32Array, size: number, columns: number): Float32Array {
  const ceilLog2 = size <= 2 ? 1 : Math.floor(Math.log2(size - 1)) + 1;
  const levelPower = Math.max(4, Math.floor(ceilLog2 / levels));
  const step = 2 ** levelPower;
  const sums = Array.from({ length: levels }, () => new Float32Array(columns));
  const addRow = (i: number): void => {
    const lowest = sums[0]!;
    for (let k = 0; k < columns; k++) lowest[k]! += values[i * columns + k]!;
  };
  let i = 0;
  while (i + step <= size) {
    for (let j = 0; j < step; j++) addRow(i++);
    for (let level = 1; level < levels; level++) {
      const below = sums[level - 1]!;
      const here = sums[level]!;
      for (let k = 0; k < columns; k++) here[k]! += below[k]!;
      below.fill(0);
      if ((i & ((step - 1) << (level * levelPower))) !== 0) break;
    }
  }
  while (i < size) addRow(i++);
  const total = sums[0]!;
  for (let level = 1; level < levels; level++) for (let k = 0; k < columns; k++) total[k]! += sums[level]![k]!;
  return total;
}

/** Sums of `width` interleaved lanes: f32[width]. */
function laneSums(values: Float32Array, width: number, size: number): Float32Array {
  const full = Math.floor(size / rows);
  const partial = cascade(values, full, rows * width);
  const sums = partial.slice(0, width);
  for (let i = full * rows; i < size; i++) for (let k = 0; k < width; k++) sums[k]! += values[i * width + k]!;
  for (let row = 1; row < rows; row++) for (let k = 0; k < width; k++) sums[k]! += partial[row * width + k]!;
  return sums;
}

/** The f32 mean of f32 values, rounded as PyTorch rounds it. */
export function torchMean(values: Float32Array): number {
  const count = values.length;
  if (count < lanes) return Math.fround(laneSums(values, 1, count)[0]! / count);
  const vectors = Math.floor(count / lanes);
  let sum = 0;
  for (let i = vectors * lanes; i < count; i++) sum = Math.fround(sum + values[i]!);
  for (const lane of laneSums(values, lanes, vectors)) sum = Math.fround(sum + lane);
  return Math.fround(sum / count);
}
