/** Rotary settings of `config.json`, as old files (`rope_theta`, `rope_scaling`) and transformers 5 (`rope_parameters`) write them. */
import type { RopeConfig, RopeScaling } from '../nn/index.ts';
import type { ConfigReader } from './config-reader.ts';

const supported = 'default, linear, dynamic, llama3';

/** Reads theta and scaling; `headDim` elements turn. */
export function readRope(reader: ConfigReader, headDim: number, defaultTheta: number): RopeConfig {
  const parameters = reader.object('rope_parameters') ?? reader.object('rope_scaling');
  const theta = parameters?.json['rope_theta']
    ? parameters.positive('rope_theta')
    : reader.positive('rope_theta', defaultTheta);
  const partial = parameters?.json['partial_rotary_factor'] ?? reader.json['partial_rotary_factor'];
  if (partial !== undefined && partial !== null && partial !== 1) {
    reader.unsupported('partial_rotary_factor', partial, '1');
  }
  return { theta, dimensions: headDim, scaling: readScaling(reader, parameters) };
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
