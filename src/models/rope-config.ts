/** Rotary settings of `config.json`, as old files (`rope_theta`, `rope_scaling`) and transformers 5 (`rope_parameters`) write them. */
import type { RopeConfig, RopeScaling } from '../nn/index.ts';
import type { ConfigReader } from './config-reader.ts';

const supported = 'default, linear, dynamic, llama3, yarn, longrope';

/** How a family names and uses a part of each head that turns. */
export interface PartialRope {
  /** Share of a head's elements that turn where the config says nothing. */
  readonly defaultShare: number;
  /** Names that older files give share and theta. */
  readonly shareField?: string;
  readonly thetaField?: string;
  /** Kinds of scaling that mean longrope in this family's older files. */
  readonly longropeNames?: readonly string[];
}

/**
 * Reads theta and scaling; `headDim` elements turn, or a share of them where the family has such: it must then give
 * `partial`, and any share but 1 is refused otherwise.
 */
export function readRope(
  reader: ConfigReader,
  headDim: number,
  defaultTheta: number,
  partial?: PartialRope,
): RopeConfig {
  const parameters = reader.object('rope_parameters') ?? reader.object('rope_scaling');
  const theta = parameters?.json['rope_theta']
    ? parameters.positive('rope_theta')
    : reader.positive(partial?.thetaField ?? 'rope_theta', defaultTheta);
  const shareField = partial?.shareField ?? 'partial_rotary_factor';
  const share = parameters?.json['partial_rotary_factor']
    ? parameters.positive('partial_rotary_factor')
    : reader.positive(shareField, partial?.defaultShare ?? 1);
  if (share !== 1 && partial === undefined) reader.unsupported('partial_rotary_factor', share, '1');
  const dimensions = Math.floor(headDim * share);
  if (share > 1 || dimensions < 2 || dimensions % 2 !== 0) {
    reader.unsupported(shareField, share, `a share of the ${headDim} elements of a head that is an even number`);
  }
  return { theta, dimensions, scaling: readScaling(reader, parameters, dimensions, partial?.longropeNames) };
}

function readScaling(
  reader: ConfigReader,
  parameters: ConfigReader | undefined,
  dimensions: number,
  longropeNames: readonly string[] = [],
): RopeScaling {
  if (!parameters) return { type: 'default' };
  const named = parameters.text('rope_type', parameters.text('type', 'default'));
  const type = longropeNames.includes(named) ? 'longrope' : named;
  const maxPositions = (fallback: number): number => reader.size('max_position_embeddings', fallback);
  // transformers takes the config's own field first
  const originalLength = (): number => {
    const field = 'original_max_position_embeddings';
    return reader.json[field] === undefined ? parameters.size(field, maxPositions(8192)) : reader.size(field);
  };
  const optional = (field: string): number | undefined =>
    parameters.json[field] === undefined || parameters.json[field] === null ? undefined : parameters.positive(field);
  switch (type) {
    case 'default':
      return { type };
    case 'linear':
      return { type, factor: parameters.positive('factor') };
    case 'dynamic':
      // dynamic scaling starts where the model's own positions end
      return { type, factor: parameters.positive('factor'), originalLength: maxPositions(2048) };
    case 'llama3':
      return {
        type,
        factor: parameters.positive('factor'),
        lowFrequencyFactor: parameters.positive('low_freq_factor'),
        highFrequencyFactor: parameters.positive('high_freq_factor'),
        originalLength: originalLength(),
      };
    case 'yarn': {
      const length = originalLength();
      const factor = optional('factor') ?? maxPositions(length) / length;
      return {
        type,
        factor,
        originalLength: length,
        betaFast: optional('beta_fast') ?? 32,
        betaSlow: optional('beta_slow') ?? 1,
        truncate: parameters.boolean('truncate', true),
        attentionFactor:
          optional('attention_factor') ?? yarnAttention(factor, optional('mscale'), optional('mscale_all_dim')),
      };
    }
    case 'longrope': {
      const length = originalLength();
      const factor = optional('factor') ?? maxPositions(length) / length;
      return {
        type,
        shortFactors: parameters.positives('short_factor', dimensions / 2),
        longFactors: parameters.positives('long_factor', dimensions / 2),
        originalLength: length,
        attentionFactor:
          optional('attention_factor') ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(length))),
      };
    }
    default:
      return parameters.unsupported('rope_type', named, supported);
  }
}

/** How much larger cosines and sines become where the config does not say it. */
function yarnAttention(factor: number, mscale: number | undefined, mscaleAllDim: number | undefined): number {
  const of = (weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  return mscale !== undefined && mscaleAllDim !== undefined ? of(mscale) / of(mscaleAllDim) : of(1);
}
