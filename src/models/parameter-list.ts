/** Collects the parameters and linear modules of a model while its file names them. */
import * as g from '../graph/index.ts';
import type { LinearModule, ModuleGroup, ParameterShape, ParameterSource } from './family.ts';

/** How a linear module is stored. */
export interface LinearForm {
  readonly bias: boolean;
  /** The weight is stored [in, out]. */
  readonly transposed?: boolean;
  readonly group?: ModuleGroup;
  readonly keepsFloats?: boolean;
}

export class ParameterList {
  readonly parameters: ParameterShape[] = [];
  readonly linears: LinearModule[] = [];
  private readonly forms = new Map<string, LinearForm>();

  /** A parameter of its own. */
  add(name: string, shape: readonly number[]): void {
    this.parameters.push({ name, shape });
  }

  /** A linear module from `inputs` to `outputs` features. */
  linear(name: string, inputs: number, outputs: number, form: LinearForm): void {
    const { bias, transposed = false, group, keepsFloats } = form;
    this.linears.push({
      name,
      inputs,
      outputs,
      ...(transposed ? { transposed } : {}),
      ...(group ? { group } : {}),
      ...(keepsFloats ? { keepsFloats } : {}),
    });
    this.add(`${name}.weight`, transposed ? [inputs, outputs] : [outputs, inputs]);
    if (bias) this.add(`${name}.bias`, [outputs]);
    this.forms.set(name, form);
  }

  /** A layer norm with gain and bias. */
  layerNorm(name: string, size: number): void {
    this.add(`${name}.weight`, [size]);
    this.add(`${name}.bias`, [size]);
  }

  /** The output layer, whose weight is a parameter of its own unless it is tied to the embedding table. */
  output(name: string, inputs: number, outputs: number, tied: boolean): void {
    this.linears.push({ name, inputs, outputs });
    if (!tied) this.add(`${name}.weight`, [outputs, inputs]);
  }

  /** x f32[N, in] through a linear module that was added before: f32[N, out]. */
  apply(source: ParameterSource, name: string, x: g.Node): g.Node {
    const { bias, transposed } = this.forms.get(name)!;
    return source.linear(name, x, bias, transposed);
  }
}

/** Layer norm of the module `name`: its weight and bias. */
export function layerNormOf(source: ParameterSource, name: string, x: g.Node, epsilon: number): g.Node {
  return g.layerNorm(x, source.parameter(`${name}.weight`), source.parameter(`${name}.bias`), epsilon);
}
