/** The whole plan: one program is forward, loss and backward; activations are kept. Fastest where they fit. */
import { gradients } from '../autodiff/index.ts';
import * as g from '../graph/index.ts';
import type { Model } from '../models/index.ts';
import { compile, type CompileOptions, type Program, type TensorValue, type WeightLocator } from '../runtime/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { buildLoss } from './loss-graph.ts';
import { gradientOutput, lossOutput, type StepPlan, trainableNodes } from './step-plan.ts';

/** The loss and the gradients of all that moves, as outputs of one graph. */
export function wholeOutputs(model: Model, method: TuningMethod): Record<string, g.Node> {
  const loss = buildLoss(model, method.source(true), model.layerCount);
  const moved = trainableNodes([loss], method);
  const flows = gradients([{ output: loss, seed: g.constant([1], [1, 1]) }], [...moved.values()]);
  const outputs: Record<string, g.Node> = { [lossOutput]: loss };
  [...moved.keys()].forEach((name, i) => {
    const flow = flows[i];
    if (flow) outputs[gradientOutput(name)] = flow;
  });
  return outputs;
}

/** Builds the whole plan; the program is compiled at the first step. */
export function wholePlan(
  model: Model,
  method: TuningMethod,
  locate: WeightLocator,
  options: CompileOptions,
): StepPlan {
  let program: Promise<Program> | undefined;
  return {
    kind: 'whole',
    step: async (feeds, _feedsFor, collect) => {
      program ??= compile(wholeOutputs(model, method), locate, options);
      const results = await (await program).run(feeds);
      for (const [name, value] of Object.entries(results)) collect(name, value);
    },
    release: async () => {
      await (await program)?.release();
      program = undefined;
    },
  };
}

/** Forward and loss only, without dropout. */
export function evaluationPlan(
  model: Model,
  method: TuningMethod,
  locate: WeightLocator,
  options: CompileOptions,
): { loss(feeds: Readonly<Record<string, TensorValue>>): Promise<number>; release(): Promise<void> } {
  let program: Promise<Program> | undefined;
  return {
    loss: async (feeds) => {
      program ??= compile({ [lossOutput]: buildLoss(model, method.source(false), model.layerCount) }, locate, options);
      const results = await (await program).run(feeds);
      return (results[lossOutput]!.data as Float32Array)[0]!;
    },
    release: async () => {
      await (await program)?.release();
      program = undefined;
    },
  };
}
