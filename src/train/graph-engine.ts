/** The training engine over tensor graphs: holds what moves, feeds batches to a step plan and adds up gradients. */
import { type ModelFolder, type OnCodes, openWeights } from '../checkpoint/index.ts';
import type { Sequence } from '../data/index.ts';
import { type CompileOptions, float32, type TensorValue } from '../runtime/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { batchFeeds, dropoutMask } from './batch-feeds.ts';
import type { DropoutKey, LossSums, TrainableTensor, TrainEngine } from './engine.ts';
import { lossForm } from './loss-graph.ts';
import type { PlanForm } from './plan-form.ts';
import { segmentedPlan } from './segmented-plan.ts';
import { startValues } from './start-values.ts';
import { gradientOutput, lossOutput, type StepPlan } from './step-plan.ts';
import { wholePlan } from './whole-plan.ts';

export interface GraphEngineOptions extends CompileOptions {
  readonly plan: PlanForm;
  /** Tokens of the longest sequence that it will be given; left out: any number. Longer ones need more memory than planned. */
  readonly longest?: number;
  /** Tokens that an evaluation takes at a time, but for longer sequences; left out: whole batches. */
  readonly evaluatedAtOnce?: number | undefined;
  /** Tokens of a batch, in the mean; left out: few. */
  readonly meanTokens?: number;
  /** Hears how much is done of weights that are quantised now. */
  readonly onCodes?: OnCodes | undefined;
  /** Seed of start values. */
  readonly seed: number;
  /** Values that take the place of the start values, by trainable name (a continued adapter, a checkpoint). */
  readonly values?: ReadonlyMap<string, Float32Array>;
  /** Tensors that the graph takes but that do not move: adapters below. */
  readonly fixed?: ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Float32Array }>;
}

/** Makes the engine; reads the tensors that move, maps all others when a step first needs them. */
export async function createGraphEngine(
  folder: ModelFolder,
  method: TuningMethod,
  options: GraphEngineOptions,
): Promise<TrainEngine> {
  const { model } = folder;
  const locate = await openWeights(folder, options.onCodes);
  const parameters: TrainableTensor[] = [];
  for (const trainable of method.trainables) {
    const data = options.values?.get(trainable.name) ?? (await startValues(folder, trainable, options.seed));
    const { name, shape } = trainable;
    parameters.push({ name, shape, data, gradient: new Float32Array(data.length) });
  }
  const trainableFeeds: Record<string, TensorValue> = {};
  for (const [name, { shape, values }] of options.fixed ?? []) trainableFeeds[name] = float32(values, shape);
  for (const { name, shape, data } of parameters) trainableFeeds[name] = float32(data, shape);
  const gradientByOutput = new Map(parameters.map(({ name, gradient }) => [gradientOutput(name), gradient]));
  const sites = new Map(method.dropoutSites.map((site) => [site.input, site]));

  const form = lossForm(model, options.device, options.longest, options.meanTokens);
  const planOptions = { ...options, ...form, spinsBetweenRuns: false };
  const plan: StepPlan =
    options.plan.kind === 'whole'
      ? wholePlan(model, method, locate, planOptions)
      : segmentedPlan(model, method, locate, planOptions, options.plan);

  return {
    parameters,
    accumulate: async (batch, dropout, onProgress): Promise<LossSums> => {
      const { feeds, tokens, labelled, weightSum } = batchFeeds(batch, model, method);
      if (labelled === 0) return { lossSum: 0, weightSum: 0 };
      const masks = (names: readonly string[]): Record<string, TensorValue> => maskFeeds(names, sites, tokens, dropout);
      const all = { ...feeds, ...trainableFeeds, ...(plan.kind === 'whole' ? masks([...sites.keys()]) : {}) };
      let lossSum = 0;
      await plan.step(
        all,
        masks,
        (output, value) => {
          const values = value.data as Float32Array;
          if (output === lossOutput) lossSum = values[0]!;
          else addTo(gradientByOutput.get(output)!, values);
        },
        onProgress,
      );
      return { lossSum, weightSum };
    },
    evaluate: async (batch: readonly Sequence[]): Promise<LossSums> => {
      const sums = { lossSum: 0, weightSum: 0 };
      for (const group of groupsUpTo(batch, options.evaluatedAtOnce ?? Infinity)) {
        const { feeds, labelled, weightSum } = batchFeeds(group, model, method);
        if (labelled === 0) continue;
        sums.lossSum += await plan.loss({ ...feeds, ...trainableFeeds });
        sums.weightSum += weightSum;
      }
      return sums;
    },
    release: () => plan.release(),
  };
}

/** Neighbours with at most `tokens` tokens together; a longer sequence stands alone. */
function groupsUpTo(batch: readonly Sequence[], tokens: number): Sequence[][] {
  const groups: Sequence[][] = [];
  let count = Infinity;
  for (const sequence of batch) {
    const { length } = sequence.inputIds;
    if (groups.length === 0 || count + length > tokens) {
      groups.push([]);
      count = 0;
    }
    groups.at(-1)!.push(sequence);
    count += length;
  }
  return groups;
}

function maskFeeds(
  names: readonly string[],
  sites: ReadonlyMap<string, TuningMethod['dropoutSites'][number]>,
  tokens: number,
  key: DropoutKey,
): Record<string, TensorValue> {
  const masks: Record<string, TensorValue> = {};
  for (const name of names) {
    const site = sites.get(name);
    if (site) masks[name] = dropoutMask(site, tokens * site.rowsPerToken, key);
  }
  return masks;
}

function addTo(target: Float32Array, values: Float32Array): void {
  for (let i = 0; i < target.length; i++) target[i]! += values[i]!;
}
