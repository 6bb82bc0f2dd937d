/**
 * Weights in short blocks of unsigned codes around their middle, as onnxruntime's MatMulNBits and ggml's q4_0 and q8_0 have them:
 * value = scale x (code - middle). In 4 bits the value of largest magnitude becomes -8, which uses all sixteen codes (ggml).
 */
import { blockCodesSize } from '../graph/index.ts';

/** Codes and scales of some rows. */
export interface BlockCodesTensor {
  /** Of each row block after block; of 4-bit codes the earlier one in the low half of a byte. */
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
}

/** @param values f32[rows, width] row-major; short last blocks are filled with zeros. */
export function quantizeBlocks(values: Float32Array, width: number, bits: 4 | 8): BlockCodesTensor {
  const rows = values.length / width;
  const perRow = Math.ceil(width / blockCodesSize);
  const bytes = (blockCodesSize * bits) / 8;
  const codes = new Uint8Array(rows * perRow * bytes);
  const scales = new Float32Array(rows * perRow);
  const middle = bits === 4 ? 8 : 128;
  const highest = 2 * middle - 1;
  const padded = new Uint8Array(blockCodesSize);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < perRow; block++) {
      const start = row * width + block * blockCodesSize;
      const count = Math.min(blockCodesSize, (row + 1) * width - start);
      let extreme = 0;
      for (let i = 0; i < count; i++)
        if (Math.abs(values[start + i]!) > Math.abs(extreme)) extreme = values[start + i]!;
      const scale = Math.fround(bits === 4 ? extreme / -8 : Math.abs(extreme) / 127);
      const inverse = scale === 0 ? 0 : 1 / scale;
      padded.fill(middle);
      for (let i = 0; i < count; i++) {
        padded[i] = Math.min(highest, Math.max(0, Math.round(values[start + i]! * inverse) + middle));
      }
      const place = row * perRow + block;
      scales[place] = scale;
      if (bits === 8) codes.set(padded, place * bytes);
      else for (let i = 0; i < bytes; i++) codes[place * bytes + i] = padded[2 * i]! | (padded[2 * i + 1]! << 4);
    }
  }
  return { codes, scales };
}

/** The values that codes stand for, f32[rows, width]. */
export function dequantizeBlocks({ codes, scales }: BlockCodesTensor, width: number, bits: 4 | 8): Float32Array {
  const perRow = Math.ceil(width / blockCodesSize);
  const rows = scales.length / perRow;
  const values = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < width; i++) {
      const at = row * perRow * blockCodesSize + i;
      const code = bits === 8 ? codes[at]! - 128 : ((codes[at >> 1]! >> (4 * (at & 1))) & 15) - 8;
      values[row * width + i] = code * scales[Math.floor(at / blockCodesSize)]!;
    }
  }
  return values;
}
