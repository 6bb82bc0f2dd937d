/**
 * LoRA (Hu et al. 2021): y = W x + s B A dropout(x), with s = alpha / rank, or alpha / sqrt(rank) for rsLoRA
 * (Kalajdzievski 2023). Names and start values are PEFT's.
 */
import * as g from '../graph/index.ts';
import type { LinearModule, ParameterSource } from '../models/index.ts';
import { hashKey, RandomStream } from '../util/index.ts';
import type { DropoutSite, Trainable } from './method.ts';

export interface LoraSettings {
  readonly rank: number;
  readonly alpha: number;
  /** Probability that an element of the adapter's input is dropped. */
  readonly dropout: number;
  readonly rankStabilized: boolean;
  readonly modules: readonly LinearModule[];
}

/** The factor of B A. */
export function loraScale(settings: Pick<LoraSettings, 'rank' | 'alpha' | 'rankStabilized'>): number {
  return settings.alpha / (settings.rankStabilized ? Math.sqrt(settings.rank) : settings.rank);
}

/** The two matrices of each module: A [rank, in] and B [out, rank]. */
export function loraTrainables({ modules, rank }: LoraSettings): Trainable[] {
  return modules.flatMap(({ name, inputs, outputs }) => [
    {
      name: `${name}.lora_A.weight`,
      shape: [rank, inputs],
      // PEFT: kaiming_uniform_ with a = sqrt(5)
      start: { kind: 'values', make: (seed: number) => uniform(rank * inputs, 1 / Math.sqrt(inputs), seed, name) },
    },
    { name: `${name}.lora_B.weight`, shape: [outputs, rank], start: { kind: 'zeros' } },
  ]);
}

/** Where dropout acts: one mask per module, as PEFT has one dropout layer per module. */
export function loraDropoutSites({ modules, dropout }: LoraSettings): DropoutSite[] {
  if (dropout === 0) return [];
  return modules.map(({ name, inputs }) => ({ input: maskName(name), width: inputs, probability: dropout }));
}

/** The source with adapters added to its linear modules. `training` turns dropout on. */
export function withLora(base: ParameterSource, settings: LoraSettings, training: boolean): ParameterSource {
  const { rank, dropout } = settings;
  const scale = loraScale(settings);
  const modules = new Map(settings.modules.map((module) => [module.name, module]));
  const delta = (module: LinearModule, x: g.Node): g.Node => {
    const a = g.input(`${module.name}.lora_A.weight`, 'float32', [rank, module.inputs]);
    const b = g.input(`${module.name}.lora_B.weight`, 'float32', [module.outputs, rank]);
    const dropped = training && dropout > 0 ? applyDropout(x, module, dropout) : x;
    return g.matmul(g.matmul(dropped, a, { transposeB: true }), b, { transposeB: true, alpha: scale });
  };
  return {
    ...base,
    linear: (name, x, bias) => {
      const module = modules.get(name);
      const y = base.linear(name, x, bias);
      return module ? g.add(y, delta(module, x)) : y;
    },
    outputLogits: (name, x, tiedTo) => {
      const module = modules.get(name);
      const y = base.outputLogits(name, x, tiedTo);
      return module ? g.add(y, delta(module, x)) : y;
    },
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
