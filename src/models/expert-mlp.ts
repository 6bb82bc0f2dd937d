/** The MLP of routed experts, with or without an expert that every token goes through, as decoders with such have it. */
import * as g from '../graph/index.ts';
import { routeToExperts, rowsForExperts, sumOverExperts } from '../nn/index.ts';
import type { ConfigReader } from './config-reader.ts';
import type { ParameterSource } from './family.ts';
import type { ParameterList } from './parameter-list.ts';

/** Experts of some layers. */
export interface ExpertsConfig {
  /** What the block is called inside a layer. */
  readonly block: string;
  /** What gate, up and down are called inside an expert. */
  readonly names: { readonly gate: string; readonly up: string; readonly down: string };
  readonly count: number;
  readonly perToken: number;
  readonly intermediateSize: number;
  /** The chosen experts' probabilities are divided by their sum. */
  readonly normalizes: boolean;
  /** Size of the expert that every token goes through, weighted by a gate of its own; undefined: none. */
  readonly sharedSize: number | undefined;
  /** Whether a layer has experts; else it has the plain MLP. */
  readonly inLayer: (layer: number) => boolean;
}

const plain = { bias: false };
const shared = ['gate_proj', 'up_proj', 'down_proj'] as const;

/** Adds the parameters of a layer's experts. */
export function addExperts(list: ParameterList, layer: string, width: number, config: ExpertsConfig): void {
  const { block, names, count, perToken, intermediateSize: size, sharedSize } = config;
  const name = `${layer}.${block}`;
  list.linear(`${name}.gate`, width, count, { bias: false, keepsFloats: true });
  for (let e = 0; e < count; e++) {
    for (const part of ['gate', 'up', 'down'] as const) {
      const [inputs, outputs] = part === 'down' ? [size, width] : [width, size];
      const group = { name: `${name}.experts.${names[part]}`, rowsPerToken: perToken };
      list.linear(`${name}.experts.${e}.${names[part]}`, inputs, outputs, { bias: false, group });
    }
  }
  if (sharedSize === undefined) return;
  for (const part of shared) {
    const [inputs, outputs] = part === 'down_proj' ? [sharedSize, width] : [width, sharedSize];
    list.linear(`${name}.shared_expert.${part}`, inputs, outputs, plain);
  }
  list.linear(`${name}.shared_expert_gate`, width, 1, { bias: false, keepsFloats: true });
}

/** A layer's experts: x f32[N, D] to f32[N, D]. */
export function applyExperts(source: ParameterSource, layer: string, x: g.Node, config: ExpertsConfig): g.Node {
  const name = `${layer}.${config.block}`;
  const routing = routeToExperts(source.linear(`${name}.gate`, x), config.perToken, config.normalizes);
  const through = (part: 'gate' | 'up' | 'down', rows: g.Node): g.Node =>
    source.groupedLinear(
      Array.from({ length: config.count }, (_, e) => `${name}.experts.${e}.${config.names[part]}`),
      rows,
      routing.bounds,
    );
  const rows = rowsForExperts(x, routing);
  const inner = g.mul(g.silu(through('gate', rows)), through('up', rows));
  const routed = sumOverExperts(through('down', inner), routing);
  if (config.sharedSize === undefined) return routed;
  const [gate, up] = [shared[0], shared[1]].map((part) => source.linear(`${name}.shared_expert.${part}`, x));
  const common = source.linear(`${name}.shared_expert.down_proj`, g.mul(g.silu(gate!), up!));
  return g.add(routed, g.mul(g.sigmoid(source.linear(`${name}.shared_expert_gate`, x)), common));
}

/** Experts per token, checked against their number. */
export function readPerToken(reader: ConfigReader, count: number, fallback: number): number {
  const perToken = reader.size('num_experts_per_tok', fallback);
  if (perToken > count) reader.unsupported('num_experts_per_tok', perToken, `at most the number of experts (${count})`);
  return perToken;
}

/** Refuses what would add a loss that keeps the router balanced: it is not computed. */
export function refuseBalancingLoss(reader: ConfigReader): void {
  if (reader.boolean('output_router_logits', false)) {
    reader.unsupported('output_router_logits', true, 'false (the loss that balances the router is not trained)');
  }
}

/** Which layers have experts as Qwen's configs say it: every `decoder_sparse_step`-th but those of `mlp_only_layers`. */
export function qwenExpertLayers(reader: ConfigReader): (layer: number) => boolean {
  const step = reader.size('decoder_sparse_step', 1);
  const dense = new Set(reader.indices('mlp_only_layers') ?? []);
  return (layer) => !dense.has(layer) && (layer + 1) % step === 0;
}
