/**
 * LoRA (Hu et al. 2021): y = W x + s B A dropout(x), with s = alpha / rank, or alpha / sqrt(rank) for rsLoRA
 * (Kalajdzievski 2023). Names and start values are PEFT's.
 */
import * as g from '../graph/index.ts';
import type { LinearModule, ParameterSource } from '../models/index.ts';
import { hashKey, RandomStream } from '../util/index.ts';
import type { DropoutSite, Trainable } from './method.ts';

/** A linear module with an adapter of its own rank and scale. */
export interface LoraModule extends LinearModule {
  readonly rank: number;
  /** The factor of B A: alpha / rank, or alpha / sqrt(rank). */
  readonly scale: number;
}

export interface LoraSettings {
  /** Probability that an element of an adapter's input is dropped. */
  readonly dropout: number;
  readonly modules: readonly LoraModule[];
}

/** The factor of B A. */
export function loraScale(rank: number, alpha: number, rankStabilized: boolean): number {
  return alpha / (rankStabilized ? Math.sqrt(rank) : rank);
}

/** Names of a module's two matrices. */
export function loraNames(module: string): { readonly a: string; readonly b: string } {
  return { a: `${module}.lora_A.weight`, b: `${module}.lora_B.weight` };
}

/** The two matrices of each module: A [rank, in] and B [out, rank]. */
export function loraTrainables({ modules }: LoraSettings): Trainable[] {
  return modules.flatMap(({ name, inputs, outputs, rank }) => [
    {
      name: loraNames(name).a,
      shape: [rank, inputs],
      // PEFT: kaiming_uniform_ with a = sqrt(5)
      start: { kind: 'values', make: (seed: number) => uniform(rank * inputs, 1 / Math.sqrt(inputs), seed, name) },
    },
    { name: loraNames(name).b, shape: [outputs, rank], start: { kind: 'zeros' } },
  ]);
}

/** Where dropout acts: one mask per module, as PEFT has one dropout layer per module; experts share one, each with its own rows. */
export function loraDropoutSites({ modules, dropout }: LoraSettings): DropoutSite[] {
  if (dropout === 0) return [];
  const sites = modules.map((module): DropoutSite => ({
    input: maskName(module),
    width: module.inputs,
    probability: dropout,
    rowsPerToken: module.group?.rowsPerToken ?? 1,
  }));
  // modules of a group share the rows, and so the mask
  return [...new Map(sites.map((site) => [site.input, site])).values()];
}

/**
 * The source with adapters added to its linear modules. `training` turns dropout on; `prefix` stands before the names of
 * the matrices, so that several adapters can lie over one another.
 */
export function withLora(
  base: ParameterSource,
  { modules, dropout }: LoraSettings,
  training: boolean,
  prefix = '',
): ParameterSource {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const adapted = (name: string, x: g.Node, y: g.Node): g.Node => {
    const module = byName.get(name);
    if (!module) return y;
    const { rank, scale, inputs, outputs } = module;
    const names = loraNames(name);
    const a = g.input(prefix + names.a, 'float32', [rank, inputs]);
    const b = g.input(prefix + names.b, 'float32', [outputs, rank]);
    const dropped = training && dropout > 0 ? applyDropout(x, module, dropout) : x;
    const low = g.matmul(dropped, a, { transposeB: true });
    return g.add(y, g.matmul(low, b, { transposeB: true, alpha: scale }));
  };
  /** The matrices of a module that shares rows with others, brought to one rank and scale; zeros where it has no adapter. */
  const padded = (name: string, inputs: number, outputs: number, rank: number, scale: number): [g.Node, g.Node] => {
    const zeros = (rows: number, columns: number): g.Node => g.expand(g.scalar(0), [rows, columns]);
    const module = byName.get(name);
    if (!module) return [zeros(rank, inputs), zeros(outputs, rank)];
    const names = loraNames(name);
    const a = g.input(prefix + names.a, 'float32', [module.rank, inputs]);
    const b = g.input(prefix + names.b, 'float32', [outputs, module.rank]);
    const scaled = module.scale === scale ? b : g.mul(b, g.scalar(module.scale / scale));
    const missing = rank - module.rank;
    if (missing === 0) return [a, scaled];
    return [g.concat([a, zeros(missing, inputs)], 0), g.concat([scaled, zeros(outputs, missing)], 1)];
  };
  const groupedLinear: ParameterSource['groupedLinear'] = (names, x, bounds) => {
    const y = base.groupedLinear(names, x, bounds);
    const adaptedModules = names.flatMap((name) => byName.get(name) ?? []);
    const [first] = adaptedModules;
    if (!first) return y;
    const { inputs, outputs, scale } = first;
    const rank = Math.max(...adaptedModules.map((module) => module.rank));
    const pairs = names.map((name) => padded(name, inputs, outputs, rank, scale));
    const dropped = training && dropout > 0 ? applyDropout(x, first, dropout) : x;
    const weights = (half: 0 | 1): (readonly g.Node[])[] => pairs.map((pair) => [pair[half]]);
    const low = g.groupedMatmul(dropped, bounds, weights(0), { transposeB: true });
    return g.add(y, g.groupedMatmul(low, bounds, weights(1), { transposeB: true, alpha: scale }));
  };
  return {
    ...base,
    groupedLinear,
    linear: (name, x, bias, transposed) => adapted(name, x, base.linear(name, x, bias, transposed)),
    outputLogits: (name, x, tiedTo) => adapted(name, x, base.outputLogits(name, x, tiedTo)),
  };
}

function applyDropout(x: g.Node, module: LinearModule, probability: number): g.Node {
  const mask = g.input(maskName(module), 'uint8', [x.shape[0]!, module.inputs]);
  return g.mul(x, g.mul(g.cast(mask, 'float32'), g.scalar(1 / (1 - probability))));
}

function maskName({ name, group }: LinearModule): string {
  return `dropout ${group?.name ?? name}`;
}

function uniform(count: number, bound: number, seed: number, name: string): Float32Array {
  const random = new RandomStream(hashKey(seed, 'lora_A', name));
  return Float32Array.from({ length: count }, () => (2 * random.next() - 1) * bound);
}
