/** Rotary settings of `config.json`, as old files (`rope_theta`, `rope_scaling`) and transformers 5 (`rope_parameters`) write them. */
import type { RopeConfig, RopeScaling } from '../nn/index.ts';
import type { ConfigReader } from './config-reader.ts';

const supported = 'default, linear, dynamic, llama3';

/** How a family names and uses a part of each head that turns. */
export interface PartialRope {
  /** Share of a head's elements that turn where the config says nothing. */
  readonly defaultShare: number;
  /** Names that older files give share and theta. */
  readonly shareField?: string;
  readonly thetaField?: string;
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
  return { theta, dimensions, scaling: readScaling(reader, parameters) };
}

function readScaling(reader: ConfigReader, parameters: ConfigReader | undefined): RopeScaling {
  if (!parameters) return { type: 'default' };
  const type = parameters.text('rope_type', parameters.text('type', 'default'));
  // dynamic scaling starts where the model's own positions end
  const originalLength = (fallback?: number): number => parameters.size('original_max_position_embeddings', fallback);
  switch (type) {
    case 'default':
      return { type };
    case 'linear':
      return { type, factor: parameters.positive('factor') };
    case 'dynamic':
      return {
        type,
        factor: parameters.positive('factor'),
        originalLength: reader.size('max_position_embeddings', 2048),
      };
    case 'llama3':
      return {
        type,
        factor: parameters.positive('factor'),
        lowFrequencyFactor: parameters.positive('low_freq_factor'),
        highFrequencyFactor: parameters.positive('high_freq_factor'),
        originalLength: originalLength(reader.size('max_position_embeddings', 8192)),
      };
    default:
      return parameters.unsupported('rope_type', type, supported);
  }
}
