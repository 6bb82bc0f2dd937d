/** Which weights of a model are kept in codes, how, and where their parts lie: those that training or publishers made. */
import type { FourBitType, QuantizedLayout } from '../graph/index.ts';
import type { Model } from '../models/index.ts';
import { fourBitBlockSize, nestedBlockSize } from '../quant/index.ts';
import type { WeightLocation } from '../runtime/index.ts';

/** How frozen weights are kept. */
export interface Quantization {
  readonly bits: 4 | 8;
  /** What 4-bit codes mean. */
  readonly type: FourBitType;
  /** 4 bits: whether scales stand in codes themselves. */
  readonly doubleQuantization: boolean;
  /** 8 bits: whether a copy laid out [in, out] is kept too, for products in integers. */
  readonly bothWays?: boolean;
}

/** The settings of a config that choose it: a whole config fits. */
export interface QuantizationSettings {
  readonly quantization_bit?: number | undefined;
  readonly quantization_method: 'bnb';
  readonly quantization_type: FourBitType;
  readonly double_quantization: boolean;
}

/** How a config wants frozen weights kept; undefined: as they are stored. */
export function quantizationOf(settings: QuantizationSettings): Quantization | undefined {
  const { quantization_bit: bits, quantization_type: type, double_quantization: doubleQuantization } = settings;
  const isKnown = settings.quantization_method === 'bnb' && (bits === 4 || bits === 8);
  return isKnown ? { bits, type, doubleQuantization } : undefined;
}

/** Where the parts of weights in codes lie, by the names of the graph's leaves. */
export type CodeLocations = Map<string, WeightLocation | Uint8Array>;

/** Metadata of a weight as bitsandbytes stores it, by the type of its codes. */
export function quantStateName(name: string, type: FourBitType): string {
  return `${name}.quant_state.bitsandbytes__${type}`;
}

/** The name of an 8-bit weight's scales: `q_proj.weight` has `q_proj.SCB`. */
export function rowScalesName(name: string): string {
  return name.replace(/weight$/, 'SCB');
}

/** The name of an 8-bit weight's copy that is laid out [in, out]. */
export function turnedName(name: string): string {
  return `${name}.transposed`;
}

/**
 * The weights that may stand in codes: those of linear modules but the output layer's, as transformers does. `ours` are those
 * that we turn into codes; publishers' files may hold others in codes too.
 */
export function quantizableWeights(model: Model): {
  readonly all: ReadonlySet<string>;
  readonly ours: ReadonlySet<string>;
} {
  const inner = model.linearModules.filter(({ name }) => name !== model.outputModule);
  const names = (modules: typeof inner): Set<string> => new Set(modules.map(({ name }) => `${name}.weight`));
  return { all: names(inner), ours: names(inner.filter(({ keepsFloats }) => !keepsFloats)) };
}

/** The layout that a weight [out, in] gets. */
export function layoutFor(shape: readonly number[], { bits, type, doubleQuantization }: Quantization): QuantizedLayout {
  const [outputs, inputs] = shape as [number, number];
  if (bits === 8) return { dtype: 'int8', shape: [outputs, inputs] };
  return {
    dtype: type,
    shape: [outputs, inputs],
    blockSize: fourBitBlockSize,
    ...(doubleQuantization ? { nestedBlockSize } : {}),
  };
}
