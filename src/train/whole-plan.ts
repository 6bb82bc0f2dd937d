/** The whole plan: one program is forward, loss and backward; activations are kept. Fastest where they fit. */
import { gradients } from '../autodiff/index.ts';
import * as g from '../graph/index.ts';
import type { Model } from '../models/index.ts';
import { compile, giveBack, type Program, type WeightLocator } from '../runtime/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { buildLoss, type LossForm, type LossGraphOptions } from './loss-graph.ts';
import { gradientOutput, lossOutput, type StepPlan, trainableNodes } from './step-plan.ts';

/** The loss and the gradients of all that moves, as outputs of one graph. */
export function wholeOutputs(model: Model, method: TuningMethod, form?: LossForm): Record<string, g.Node> {
  const loss = buildLoss(model, method.source(true), model.layerCount, form, model.layerCount);
  const moved = trainableNodes([loss], method);
  const flows = gradients([{ output: loss, seed: g.constant([1], [1, 1]) }], [...moved.values()]);
  const outputs: Record<string, g.Node> = { [lossOutput]: loss };
  [...moved.keys()].forEach((name, i) => {
    const flow = flows[i];
    if (flow) outputs[gradientOutput(name)] = flow;
  });
  return g.joinThinProducts(g.mergeGradients(outputs, form?.mergedWidth ?? 0));
}

/** Builds the whole plan; its programs are compiled when they are first needed. */
export function wholePlan(
  model: Model,
  method: TuningMethod,
  locate: WeightLocator,
  options: LossGraphOptions,
): StepPlan {
  let program: Promise<Program> | undefined;
  let evaluation: Promise<Program> | undefined;
  return {
    kind: 'whole',
    step: async (feeds, _feedsFor, collect) => {
      program ??= compileStep(wholeOutputs(model, method, options), locate, options);
      const results = await (await program).run(feeds);
      for (const [name, value] of Object.entries(results)) collect(name, value);
      giveBack(Object.values(results));
    },
    loss: async (feeds) => {
      evaluation ??= compile(
        { [lossOutput]: buildLoss(model, method.source(false), model.layerCount, options, model.layerCount) },
        locate,
        options,
      );
      const results = await (await evaluation).run(feeds);
      return (results[lossOutput]!.data as Float32Array)[0]!;
    },
    release: async () => {
      await (await program)?.release();
      await (await evaluation)?.release();
      program = undefined;
      evaluation = undefined;
    },
  };
}

/**
 * The program of a step. Products in integers gain a tenth from weights in the layout of their kernels, which take no more room than
 * the mapped ones that they replace (NOTES.md); products in f32 gain nothing.
 */
function compileStep(
  outputs: Readonly<Record<string, g.Node>>,
  locate: WeightLocator,
  options: LossGraphOptions,
): Promise<Program> {
  const inIntegers = g.reachableNodes(Object.values(outputs)).some(({ op }) => op === 'integerMatmul');
  return compile(outputs, locate, { ...options, prepack: options.prepack ?? inIntegers });
}
