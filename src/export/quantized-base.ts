/** Whether an adapter was trained on a quantised base, as its run says, and what merging it into the full weights changes. */
import { dirname } from 'node:path';
import { openModelFolder, quantizationError, quantizationOf, type QuantizationSettings } from '../checkpoint/index.ts';
import { readRunRecord } from '../run/index.ts';

/** The base that an adapter was trained on, against the one that it is merged into. */
export interface QuantizedBase {
  readonly bits: 4 | 8;
  /** Length of the difference between the weights that the adapter saw and the full ones, over the length of the latter. */
  readonly relativeError: number;
}

/** What is known of a run's settings, in its folder or the one above a checkpoint. */
async function settingsOf(adapter: string): Promise<Partial<QuantizationSettings> | undefined> {
  for (const folder of [adapter, dirname(adapter)]) {
    const record = await readRunRecord(folder).catch(() => undefined);
    if (record) return record.config;
  }
  return undefined;
}

/**
 * The quantised base of the adapters that were trained on one; undefined where none was, or no run says so.
 * @param asked settings of the export itself, which stand where an adapter has no run beside it.
 * @throws as opening the model.
 */
export async function quantizedBase(
  model: string,
  adapters: readonly string[],
  asked: Partial<QuantizationSettings> = {},
): Promise<QuantizedBase | undefined> {
  for (const adapter of adapters) {
    const settings = (await settingsOf(adapter)) ?? asked;
    const how = quantizationOf({
      quantization_bit: settings.quantization_bit,
      quantization_method: settings.quantization_method ?? 'bnb',
      quantization_type: settings.quantization_type ?? 'nf4',
      double_quantization: settings.double_quantization ?? true,
    });
    const { quantized } = how ? await openModelFolder(model, how) : { quantized: undefined };
    if (how && quantized) return { bits: how.bits, relativeError: await quantizationError(quantized.entries, how) };
  }
  return undefined;
}
