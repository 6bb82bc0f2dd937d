/** How far weights in codes are from those that they stand for. */
import { readTensor, type TensorEntry } from '../formats/index.ts';
import {
  dequantizeEightBit,
  dequantizeFourBit,
  dequantizeScales,
  fourBitBlockSize,
  quantizeEightBit,
  quantizeFourBit,
  quantizeScales,
} from '../quant/index.ts';
import type { Quantization } from './quantization.ts';

/** Rows of each weight that are looked at: whole blocks whatever the width, and seconds for a large model. */
const sampledRows = fourBitBlockSize;

/** The values that a weight's codes stand for. */
function throughCodes(
  values: Float32Array,
  width: number,
  { bits, type, doubleQuantization }: Quantization,
): Float32Array {
  if (bits === 8) return dequantizeEightBit(quantizeEightBit(values, width), width);
  const { codes, absmax } = quantizeFourBit(values, type);
  const scales = doubleQuantization ? dequantizeScales(quantizeScales(absmax)) : absmax;
  return dequantizeFourBit({ codes, absmax: scales }, type, values.length);
}

/** |codes - weights| / |weights| over the first rows of all weights. */
export async function quantizationError(entries: readonly TensorEntry[], how: Quantization): Promise<number> {
  let difference = 0;
  let whole = 0;
  for (const entry of entries) {
    const [rows, width] = entry.shape as [number, number];
    const values = await readTensor(entry, { begin: 0, end: Math.min(rows, sampledRows) });
    const seen = throughCodes(values, width, how);
    for (let i = 0; i < values.length; i++) {
      difference += (seen[i]! - values[i]!) ** 2;
      whole += values[i]! ** 2;
    }
  }
  return whole === 0 ? 0 : Math.sqrt(difference / whole);
}
