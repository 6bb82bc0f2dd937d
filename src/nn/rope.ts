/**
 * Rotary position embedding: frequencies and tables, made in JavaScript for the positions of a batch. The arithmetic
 * rounds to f32 where transformers does (modeling_rope_utils.py), so that long positions agree.
 */

/** How frequencies are scaled beyond the length that the model was trained on. */
export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  | { readonly type: 'dynamic'; readonly factor: number; readonly originalLength: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalLength: number;
    };

export interface RopeConfig {
  readonly theta: number;
  /** Elements of a head that turn, E. */
  readonly dimensions: number;
  readonly scaling: RopeScaling;
}

/** Angle per position of each pair, f32[E/2]; `length` matters to dynamic scaling only. */
export function inverseFrequencies(config: RopeConfig, length: number): Float32Array {
  const { dimensions: e, scaling } = config;
  let { theta } = config;
  if (scaling.type === 'dynamic' && length > scaling.originalLength) {
    const stretch = (scaling.factor * length) / scaling.originalLength - (scaling.factor - 1);
    theta *= stretch ** (e / (e - 2));
  }
  const frequencies = Float32Array.from({ length: e / 2 }, (_, i) =>
    Math.fround(1 / Math.fround(theta ** Math.fround((2 * i) / e))),
  );
  if (scaling.type === 'linear') return frequencies.map((f) => f / scaling.factor);
  if (scaling.type !== 'llama3') return frequencies;
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalLength } = scaling;
  return frequencies.map((f) => {
    const wavelength = (2 * Math.PI) / f;
    if (wavelength > originalLength / low) return f / factor;
    if (wavelength < originalLength / high) return f;
    const smooth = (originalLength / wavelength - low) / (high - low);
    return ((1 - smooth) * f) / factor + smooth * f;
  });
}

/** Cosines and sines for runs of positions, each f32[N, E/2] row-major. */
export interface RopeTables {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/** Tables for sequences laid one after the other; sequence i has positions `starts[i]` to `starts[i] + lengths[i] - 1`. */
export function ropeTables(config: RopeConfig, lengths: ArrayLike<number>, starts?: ArrayLike<number>): RopeTables {
  const half = config.dimensions / 2;
  let total = 0;
  for (let i = 0; i < lengths.length; i++) total += lengths[i]!;
  const cos = new Float32Array(total * half);
  const sin = new Float32Array(total * half);
  let row = 0;
  for (let i = 0; i < lengths.length; i++) {
    const start = starts?.[i] ?? 0;
    const frequencies = inverseFrequencies(config, start + lengths[i]!);
    for (let t = 0; t < lengths[i]!; t++, row++) {
      for (let k = 0; k < half; k++) {
        const angle = Math.fround((start + t) * frequencies[k]!);
        cos[row * half + k] = Math.cos(angle);
        sin[row * half + k] = Math.sin(angle);
      }
    }
  }
  return { cos, sin };
}
