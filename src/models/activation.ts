/** Activation functions by the names that `config.json` uses. Source: transformers activations.py. */
import * as g from '../graph/index.ts';
import type { ConfigReader } from './config-reader.ts';

const activations: Readonly<Record<string, (x: g.Node) => g.Node>> = {
  silu: g.silu,
  swish: g.silu,
  gelu: (x) => g.gelu(x, 'none'),
  gelu_new: (x) => g.gelu(x, 'tanh'),
  gelu_fast: (x) => g.gelu(x, 'tanh'),
  gelu_pytorch_tanh: (x) => g.gelu(x, 'tanh'),
};

/** The activation that `field` names. Throws UnsupportedError for one that is not here. */
export function readActivation(reader: ConfigReader, field: string, fallback: string): (x: g.Node) => g.Node {
  const name = reader.text(field, fallback);
  const known = Object.hasOwn(activations, name) ? activations[name] : undefined;
  return known ?? reader.unsupported(field, name, Object.keys(activations).join(', '));
}
