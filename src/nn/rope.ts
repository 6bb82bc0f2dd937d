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
    }
  /** Slow pairs are slowed down by `factor`, fast ones are not, with a ramp between (Peng et al. 2023). */
  | {
      readonly type: 'yarn';
      readonly factor: number;
      readonly originalLength: number;
      /** Turns over the original length above which a pair stays as it is, and below which it is slowed down wholly. */
      readonly betaFast: number;
      readonly betaSlow: number;
      /** The ramp begins and ends at whole pairs. */
      readonly truncate: boolean;
      /** Factor of cosines and sines. */
      readonly attentionFactor: number;
    }
  /** Each pair has a factor of its own, one for sequences up to the original length and one for longer (Ding et al. 2024). */
  | {
      readonly type: 'longrope';
      readonly shortFactors: readonly number[];
      readonly longFactors: readonly number[];
      readonly originalLength: number;
      readonly attentionFactor: number;
    };

export interface RopeConfig {
  readonly theta: number;
  /** Elements of a head that turn, E. */
  readonly dimensions: number;
  readonly scaling: RopeScaling;
}

/**
 * The length that a sequence's frequencies are chosen by: sequences with the same one turn alike. 0 where the length does not
 * matter; transformers goes by the longest row of a padded batch, we by each sequence.
 */
export function frequencyLength({ scaling }: RopeConfig, length: number): number {
  if (scaling.type !== 'dynamic' && scaling.type !== 'longrope') return 0;
  if (length <= scaling.originalLength) return 0;
  return scaling.type === 'dynamic' ? length : scaling.originalLength + 1;
}

/** Angle per position of each pair, f32[E/2]; `length` matters to dynamic and longrope scaling only. */
export function inverseFrequencies(config: RopeConfig, length: number): Float32Array {
  const { dimensions: e, scaling } = config;
  let { theta } = config;
  if (scaling.type === 'dynamic' && length > scaling.originalLength) {
    const stretch = (scaling.factor * length) / scaling.originalLength - (scaling.factor - 1);
    theta *= stretch ** (e / (e - 2));
  }
  const powers = Float32Array.from({ length: e / 2 }, (_, i) => theta ** Math.fround((2 * i) / e));
  if (scaling.type === 'longrope') {
    const factors = length > scaling.originalLength ? scaling.longFactors : scaling.shortFactors;
    return powers.map((power, i) => 1 / Math.fround(Math.fround(factors[i]!) * power));
  }
  const frequencies = powers.map((power) => 1 / power);
  switch (scaling.type) {
    case 'linear':
      return frequencies.map((f) => f / scaling.factor);
    case 'llama3':
      return frequencies.map((f) => llama3Frequency(f, scaling));
    case 'yarn': {
      const slowed = yarnRamp(config, scaling);
      return frequencies.map((f, i) => {
        const slow = 1 / Math.fround(scaling.factor * powers[i]!);
        const share = slowed[i]!;
        return Math.fround(Math.fround(slow) * share) + Math.fround(f * Math.fround(1 - share));
      });
    }
    default:
      return frequencies;
  }
}

function llama3Frequency(f: number, scaling: RopeScaling & { readonly type: 'llama3' }): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalLength } = scaling;
  const wavelength = (2 * Math.PI) / f;
  if (wavelength > originalLength / low) return f / factor;
  if (wavelength < originalLength / high) return f;
  const smooth = (originalLength / wavelength - low) / (high - low);
  return ((1 - smooth) * f) / factor + smooth * f;
}

/** How far each pair is slowed down, from 0 to 1. */
function yarnRamp(
  { theta, dimensions: e }: RopeConfig,
  { originalLength, betaFast, betaSlow, truncate }: RopeScaling & { readonly type: 'yarn' },
): Float32Array {
  const pairOf = (turns: number): number =>
    (e * Math.log(originalLength / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [low, high] = [pairOf(betaFast), pairOf(betaSlow)];
  const begin = Math.max(truncate ? Math.floor(low) : low, 0);
  const end = Math.min(truncate ? Math.ceil(high) : high, e - 1);
  // as transformers keeps the ramp from having no width
  const width = begin === end ? 0.001 : end - begin;
  return Float32Array.from({ length: e / 2 }, (_, i) => Math.min(1, Math.max(0, (i - begin) / width)));
}

/** Cosines and sines for runs of positions, each f32[N, E/2] row-major. */
export interface RopeTables {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/**
 * Tables for sequences laid one after the other; sequence i has positions `starts[i]` to `starts[i] + lengths[i] - 1`.
 * @param wholes length of each whole sequence where it is known and more of it comes later; left out: it ends with these tokens.
 */
export function ropeTables(
  config: RopeConfig,
  lengths: ArrayLike<number>,
  starts?: ArrayLike<number>,
  wholes?: ArrayLike<number>,
): RopeTables {
  const half = config.dimensions / 2;
  const factor = 'attentionFactor' in config.scaling ? config.scaling.attentionFactor : 1;
  let total = 0;
  for (let i = 0; i < lengths.length; i++) total += lengths[i]!;
  const cos = new Float32Array(total * half);
  const sin = new Float32Array(total * half);
  let row = 0;
  for (let i = 0; i < lengths.length; i++) {
    const start = starts?.[i] ?? 0;
    const frequencies = inverseFrequencies(config, wholes?.[i] ?? start + lengths[i]!);
    for (let t = 0; t < lengths[i]!; t++, row++) {
      for (let k = 0; k < half; k++) {
        const angle = Math.fround((start + t) * frequencies[k]!);
        cos[row * half + k] = factor * Math.fround(Math.cos(angle));
        sin[row * half + k] = factor * Math.fround(Math.sin(angle));
      }
    }
  }
  return { cos, sin };
}
