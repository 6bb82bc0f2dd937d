/**
 * Whether this processor's kernels take integer products exactly. Some (AVX2 without VNNI) add pairs of products in 16 bits, which
 * overflow at large bytes. The kernel itself is asked, on bytes at their limits: names of instruction sets would have to be
 * known for every processor.
 */
import * as g from '../graph/index.ts';
import { compile } from './program.ts';
import { float32 } from './tensor.ts';

/** Sizes that no block of a kernel divides, and one row alone, which has a kernel of its own. */
const width = 203;
const outputs = 37;
const rowCounts = [1, 9];

/** Signs of values, so that products of bytes meet with one sign, with both in turn, and mixed. */
const patterns: readonly ((row: number, i: number) => number)[] = [
  () => 1,
  (_, i) => (i % 2 === 0 ? 1 : -1),
  (row, i) => ((i * 7 + row * 13) % 5 < 3 ? 1 : -1),
  (row) => (row % 2 === 0 ? 1 : -1),
];

/** Multiplies the largest bytes in both directions and compares with the sums that they must give. */
export async function takesIntegerProductsExactly(): Promise<boolean> {
  const layout = {
    dtype: 'int8',
    shape: [outputs, width],
    integer: { terms: 1, gradient: 1, bothWays: false },
  } as const;
  const [matrix, scales] = g.integerWeight('w', layout, true);
  const forward = g.integerMatmul(g.input('x', 'float32', ['N', width]), [matrix, scales], layout, true);
  const backward = g.integerMatmul(g.input('dy', 'float32', ['N', outputs]), [matrix, scales], layout, false);
  for (const pattern of patterns) {
    const signs = Int8Array.from({ length: outputs * width }, (_, i) => pattern(Math.floor(i / width), i % width));
    const leaves: Record<string, Uint8Array> = {
      w: new Uint8Array(signs.map((sign) => 127 * sign).buffer),
      'w.absmax': new Uint8Array(new Float32Array(outputs).fill(1).buffer),
    };
    const program = await compile({ forward, backward }, (name) => leaves[name]!, { device: 'cpu', threads: 1 });
    try {
      for (const rows of rowCounts) {
        const x = Float32Array.from({ length: rows * width }, (_, i) => pattern(1 + (i % 3), i % width));
        const dy = Float32Array.from({ length: rows * outputs }, (_, i) => pattern(1 + (i % 2), i % outputs));
        const results = await program.run({ x: float32(x, [rows, width]), dy: float32(dy, [rows, outputs]) });
        const sums = (from: Float32Array, inner: number, outer: number, at: (k: number, j: number) => number) =>
          Float32Array.from({ length: rows * outer }, (_, i) => {
            let sum = 0;
            for (let k = 0; k < inner; k++) sum += from[Math.floor(i / outer) * inner + k]! * at(k, i % outer);
            return sum;
          });
        const expected = {
          forward: sums(x, width, outputs, (k, j) => signs[j * width + k]!),
          backward: sums(dy, outputs, width, (k, j) => signs[k * width + j]!),
        };
        for (const [name, values] of Object.entries(expected)) {
          const got = results[name]!.data as Float32Array;
          // a sum of whole numbers: anything but rounding of the scales is an overflow
          if (got.some((value, i) => Math.abs(value - values[i]!) > 0.01)) return false;
        }
      }
    } finally {
      await program.release();
    }
  }
  return true;
}
