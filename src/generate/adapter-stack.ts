/**
 * Several adapters over one base in one batch: their matrices lie behind one another, and a mask lets each token see the
 * columns of its own adapter only. y = W x + B (m * (A x)), with A and B of all adapters and m their scales or 0: what the
 * others add is exactly 0. Loading and unloading change inputs, not the program, as long as the modules are the same.
 */
import type { FittedAdapter } from '../checkpoint/index.ts';
import { UnsupportedError } from '../errors.ts';
import * as g from '../graph/index.ts';
import type { LinearModule, Model, ParameterSource } from '../models/index.ts';
import { float32, type TensorValue } from '../runtime/index.ts';
import { loraNames } from '../tuning/index.ts';

const names = (module: string) => ({
  a: `stack A ${module}`,
  b: `stack B ${module}`,
  mask: `stack mask ${module}`,
});

/** The source with the stack's matrices on these modules. */
export function withAdapterStack(base: ParameterSource, modules: readonly LinearModule[]): ParameterSource {
  if (modules.length === 0) return base;
  const byName = new Map(modules.map((module) => [module.name, module]));
  const adapted = (name: string, x: g.Node, y: g.Node): g.Node => {
    const module = byName.get(name);
    if (!module) return y;
    const ranks = `ranks ${name}`;
    const a = g.input(names(name).a, 'float32', [ranks, module.inputs]);
    const b = g.input(names(name).b, 'float32', [ranks, module.outputs]);
    const mask = g.input(names(name).mask, 'float32', [x.shape[0]!, ranks]);
    return g.add(y, g.matmul(g.mul(g.matmul(x, a, { transposeB: true }), mask), b));
  };
  return {
    ...base,
    linear: (name, x, bias, transposed) => adapted(name, x, base.linear(name, x, bias, transposed)),
    outputLogits: (name, x, tiedTo) => adapted(name, x, base.outputLogits(name, x, tiedTo)),
  };
}

interface Part {
  readonly adapter: string;
  readonly rank: number;
  readonly scale: number;
}

interface StackedModule {
  readonly name: string;
  readonly a: TensorValue;
  readonly b: TensorValue;
  readonly parts: readonly Part[];
  /** Modules with equal ones have equal masks. */
  readonly signature: string;
}

/** Adapters that rows may choose by name. */
export class AdapterStack {
  private readonly model: Model;
  private readonly loaded = new Map<string, FittedAdapter>();
  private readonly compiled = new Map<string, LinearModule>();
  private stacked: StackedModule[] = [];

  constructor(model: Model) {
    this.model = model;
  }

  has(name: string): boolean {
    return this.loaded.has(name);
  }

  get names(): readonly string[] {
    return [...this.loaded.keys()];
  }

  /** The modules that the program must have matrices for; they only grow. */
  get modules(): readonly LinearModule[] {
    return [...this.compiled.values()];
  }

  /**
   * Adds an adapter, or puts another in its place. Returns whether the program lacks a module of it.
   * @throws UnsupportedError where it holds more than LoRA matrices on layers that every token passes.
   */
  load(name: string, adapter: FittedAdapter): boolean {
    const linear = new Map(this.model.linearModules.map((module) => [module.name, module]));
    const { embedding, output } = adapter.tokenRows;
    const holdsMore = adapter.savedModules.length + embedding.length + output.length > 0;
    if (holdsMore || adapter.modules.some((module) => linear.get(module.name)?.group !== undefined)) {
      throw new UnsupportedError('adapter-beside', { folder: adapter.folder });
    }
    this.loaded.set(name, adapter);
    const before = this.compiled.size;
    for (const module of adapter.modules) this.compiled.set(module.name, linear.get(module.name)!);
    this.stack();
    return this.compiled.size > before;
  }

  unload(name: string): void {
    this.loaded.delete(name);
    this.stack();
  }

  private stack(): void {
    this.stacked = this.modules.map(({ name, inputs, outputs }) => {
      const owners = [...this.loaded].flatMap(([adapter, { modules, values }]) => {
        const module = modules.find((each) => each.name === name);
        return module ? [{ adapter, values, rank: module.rank, scale: module.scale }] : [];
      });
      // a program wants one column at least
      const ranks = Math.max(
        1,
        owners.reduce((sum, { rank }) => sum + rank, 0),
      );
      const a = new Float32Array(ranks * inputs);
      const b = new Float32Array(ranks * outputs);
      let at = 0;
      for (const { values, rank } of owners) {
        a.set(values.get(loraNames(name).a)!, at * inputs);
        const own = values.get(loraNames(name).b)!;
        for (let o = 0; o < outputs; o++) for (let r = 0; r < rank; r++) b[(at + r) * outputs + o] = own[o * rank + r]!;
        at += rank;
      }
      return {
        name,
        a: float32(a, [ranks, inputs]),
        b: float32(b, [ranks, outputs]),
        parts: owners.map(({ adapter, rank, scale }) => ({ adapter, rank, scale })),
        signature: owners.map(({ adapter, rank, scale }) => `${adapter} ${rank} ${scale}`).join('|'),
      };
    });
  }

  /** Feeds of a step. @param tokens the adapter of each token; @param outputs that of each row of the output layer. */
  feeds(
    tokens: readonly (string | undefined)[],
    outputs: readonly (string | undefined)[],
  ): Record<string, TensorValue> {
    const feeds: Record<string, TensorValue> = {};
    const masks = new Map<string, TensorValue>();
    for (const { name, a, b, parts, signature } of this.stacked) {
      const isOutput = name === this.model.outputModule;
      const key = `${isOutput} ${signature}`;
      let mask = masks.get(key);
      if (!mask) masks.set(key, (mask = maskOf(parts, isOutput ? outputs : tokens, a.shape[0]!)));
      feeds[names(name).a] = a;
      feeds[names(name).b] = b;
      feeds[names(name).mask] = mask;
    }
    return feeds;
  }
}

function maskOf(parts: readonly Part[], tokens: readonly (string | undefined)[], ranks: number): TensorValue {
  const values = new Float32Array(tokens.length * ranks);
  tokens.forEach((chosen, t) => {
    let at = t * ranks;
    for (const { adapter, rank, scale } of parts) {
      if (adapter === chosen) values.fill(scale, at, at + rank);
      at += rank;
    }
  });
  return float32(values, [tokens.length, ranks]);
}
