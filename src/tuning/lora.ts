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

/** Where dropout acts: one mask per module, as PEFT has one dropout layer per module. */
export function loraDropoutSites({ modules, dropout }: LoraSettings): DropoutSite[] {
  if (dropout === 0) return [];
  return modules.map(({ name, inputs }) => ({ input: maskName(name), width: inputs, probability: dropout }));
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
  return {
    ...base,
    linear: (name, x, bias, transposed) => adapted(name, x, base.linear(name, x, bias, transposed)),
    outputLogits: (name, x, tiedTo) => adapted(name, x, base.outputLogits(name, x, tiedTo)),
  };
}

function applyDropout(x: g.Node, module: LinearModule, probability: number): g.Node {
  const mask = g.input(maskName(module.name), 'uint8', [x.shape[0]!, module.inputs]);
  return g.mul(x, g.mul(g.cast(mask, 'float32'), g.scalar(1 / (1 - probability))));
}

function maskName(module: string): string {
  return `dropout ${module}`;
}

function uniform(count: number, bound: number, seed: number, name: string): Float32Array {
  const random = new RandomStream(hashKey(seed, 'lora_A', name));
  return Float32Array.from({ length: count }, () => (2 * random.next() - 1) * bound);
}
