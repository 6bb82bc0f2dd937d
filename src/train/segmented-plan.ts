/**
 * The segmented plan (`gradient_checkpointing`): the loss graph cut between groups of layers. Forward and backward
 * programs run in turn, so that memory is one segment's and the inputs of the layers; each backward program computes its
 * forward part again. As fine as its form says: layers whole or around their attention, the head at once or in stretches.
 */
import type { Model } from '../models/index.ts';
import { giveBack, type TensorValue, type WeightLocator } from '../runtime/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { headChunks } from './head-chunks.ts';
import { HeadRunner, locateStretches } from './head-runner.ts';
import { keepInputs } from './kept-inputs.ts';
import { layerStages } from './layer-stages.ts';
import type { LossGraphOptions } from './loss-graph.ts';
import { keepsAttended, type SegmentedForm } from './plan-form.ts';
import { SegmentPrograms } from './segment-programs.ts';
import { type SegmentBody, segmentBodies, segmentOf } from './segments.ts';
import { type LayerRunner, type PassContext, stagedLayer, wholeSegment } from './staged-layer.ts';
import { lossOutput, type StepPlan } from './step-plan.ts';

/** The layers of one graph, and its head. */
interface Passes {
  readonly bodies: readonly SegmentBody[];
  readonly layers: readonly LayerRunner[];
  readonly head: LayerRunner | HeadRunner;
}

/** Builds the segmented plan. */
export function segmentedPlan(
  model: Model,
  method: TuningMethod,
  locate: WeightLocator,
  options: LossGraphOptions,
  form: SegmentedForm,
): StepPlan {
  const chunks = form.headBytes === undefined ? undefined : headChunks(model, method, form.headBytes);
  const programs = new SegmentPrograms(chunks ? locateStretches(chunks, locate) : locate, options);
  const passesOf = (training: boolean): Passes => {
    const bodies = segmentBodies(model, method, form.layersPerSegment, training, options, form.tailLayers);
    const keptFrom = bodies.length - 1 - (training ? (form.keptLayers ?? 0) : 0);
    const layers = bodies.slice(0, -1).map((body, i): LayerRunner => {
      const stages = form.tokensAtOnce === undefined ? undefined : layerStages(body, method);
      return stages
        ? stagedLayer(programs, stages, form.tokensAtOnce!, keepsAttended(form))
        : wholeSegment(programs, segmentOf(body, false, method, i >= keptFrom));
    });
    const head = chunks
      ? new HeadRunner(chunks, programs, form.tokensAtOnce)
      : wholeSegment(programs, segmentOf(bodies.at(-1)!, true, method), (form.tailLayers ?? 0) > 0);
    return { bodies, layers, head };
  };
  const passes = passesOf(true);
  // without dropout the forward pass of training is that of evaluation
  let plain: Passes | undefined = method.dropoutSites.length === 0 && !form.keptLayers ? passes : undefined;
  return {
    kind: 'segmented',
    step: async (feeds, feedsFor, collect, onProgress) => {
      const { bodies, layers, head } = passes;
      const runs =
        layers.reduce((sum, { runs: { forward, backward } }) => sum + forward + backward, 0) + head.runs.backward;
      let done = 0;
      const kept = keepInputs(form.keptIn ?? 'memory');
      const context: PassContext = {
        feeds,
        feedsFor,
        collect,
        onRun: () => onProgress?.(++done / runs),
        // one pile: what a layer's attention gave lies on its input
        attended: keepsAttended(form) ? kept : undefined,
      };
      try {
        let x: TensorValue | undefined;
        for (const layer of layers) {
          const below: TensorValue | undefined = x;
          x = await layer.forward(below, context);
          if (below) kept.move(below);
        }
        let arriving = await head.backward(x, undefined, context);
        giveBack([x]);
        for (let i = layers.length - 1; i >= 0 && bodies[i]!.moves; i--) {
          const input = i > 0 ? kept.take() : undefined;
          const leaving = await layers[i]!.backward(input, arriving, context);
          giveBack([input, arriving]);
          arriving = leaving;
        }
        giveBack([arriving]);
      } finally {
        kept.close();
      }
    },
    loss: async (feeds) => {
      plain ??= passesOf(false);
      let loss = 0;
      const context: PassContext = {
        feeds,
        feedsFor: () => ({}),
        collect: (output, value) => {
          if (output === lossOutput) loss = (value.data as Float32Array)[0]!;
        },
        onRun: () => {},
      };
      let x: TensorValue | undefined;
      for (const layer of plain.layers) {
        const below: TensorValue | undefined = x;
        x = await layer.forward(below, context);
        giveBack([below]);
      }
      await plain.head.forward(x, context);
      giveBack([x]);
      return loss;
    },
    release: () => programs.release(),
  };
}
