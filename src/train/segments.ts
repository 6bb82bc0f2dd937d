/**
 * The loss graph cut between groups of layers into forward and backward graphs: pure graph work, nothing is run here.
 * `layer-stages.ts` cuts a layer further.
 */
import { gradients } from '../autodiff/index.ts';
import * as g from '../graph/index.ts';
import type { Model } from '../models/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { productsToKeep, replaced } from './kept-products.ts';
import { buildLoss, type LossForm } from './loss-graph.ts';
import { gradientOutput, lossOutput, trainableNodes } from './step-plan.ts';

/** A graph's outputs by name. */
export type Outputs = Readonly<Record<string, g.Node>>;

/** A segment's input and output at the cut below and above it, and the gradients that arrive and leave there. */
export const borderNames = {
  input: 'x',
  output: 'y',
  arriving: 'dy',
  leaving: 'dx',
  kept: (index: number): string => `kept ${index}`,
} as const;

/** One stretch of the loss graph between two cuts. */
export interface SegmentBody {
  /** Its input; undefined for the first segment, which begins with token ids. */
  readonly start: g.Node | undefined;
  readonly end: g.Node;
  /** Whether a gradient is wanted at its input: something below moves. */
  readonly below: boolean;
  /** Whether anything in it or below it moves. */
  readonly moves: boolean;
  /** See `LossForm`. */
  readonly mergedWidth: number;
}

/** Outputs of a segment's programs. */
export interface Segment {
  /** The last one's is the loss, which its backward program gives too: training runs that alone. */
  readonly forward: Outputs;
  /** Undefined where nothing below its end moves. */
  readonly backward: Outputs | undefined;
  /** What the forward program gives beside its result, and the backward program takes. */
  readonly kept: readonly string[];
}

/** Cuts the loss graph: embedding, groups of layers, head and loss. */
export function segmentBodies(
  model: Model,
  method: TuningMethod,
  layersPerSegment: number,
  training = true,
  form?: LossForm,
  tailLayers?: number,
): SegmentBody[] {
  const loss = buildLoss(model, method.source(training), layersPerSegment, form, tailLayers);
  const cuts = g.cutNodes([loss]);
  // without the mark itself, whose number would tell equal layers apart
  const ends = [...cuts.map(({ inputs }) => inputs[0]!), loss];
  const bodies = ends.map((end, i) => {
    const cut = cuts[i - 1];
    if (!cut) return { end, start: undefined };
    const start = g.input(borderNames.input, cut.dtype, cut.shape);
    const [body] = g.substitute([end], new Map([[cut, start]]));
    return { end: body!, start };
  });
  const firstMoved = bodies.findIndex(({ end }) => trainableNodes([end], method).size > 0);
  return bodies.map((body, i) => ({
    ...body,
    below: firstMoved >= 0 && i > firstMoved,
    moves: firstMoved >= 0 && i >= firstMoved,
    mergedWidth: form?.mergedWidth ?? 0,
  }));
}

/** Gradients of `seeds` as outputs: those of the moved tensors by name, and those of `borders` by the names given. */
export function gradientOutputs(
  seeds: Parameters<typeof gradients>[0],
  borders: Readonly<Record<string, g.Node>>,
  method: TuningMethod,
): Record<string, g.Node> {
  const moved = trainableNodes(
    seeds.map(({ output }) => output),
    method,
  );
  const names = [...Object.keys(borders), ...[...moved.keys()].map(gradientOutput)];
  const flows = gradients(seeds, [...Object.values(borders), ...moved.values()]);
  return Object.fromEntries(
    names.flatMap((name, i): [string, g.Node][] => {
      const flow = flows[i];
      return flow ? [[name, flow]] : [];
    }),
  );
}

/**
 * The programs of one segment; the last one's begins with the loss.
 * @param keepsProducts the forward program leaves its products to the backward one; else they are computed again.
 */
export function segmentOf(
  { start, end, below, moves, mergedWidth }: SegmentBody,
  isLast: boolean,
  method: TuningMethod,
  keepsProducts = false,
): Segment {
  const forward = { [isLast ? lossOutput : borderNames.output]: end };
  if (!moves) return { forward, backward: isLast ? forward : undefined, kept: [] };
  const seed = isLast ? g.constant([1], [1, 1]) : g.input(borderNames.arriving, end.dtype, end.shape);
  const borders = start && below ? { [borderNames.leaving]: start } : {};
  const gradients = g.mergeGradients(gradientOutputs([{ output: end, seed }], borders, method), mergedWidth);
  if (isLast || !keepsProducts) {
    return { forward, backward: g.joinThinProducts({ ...(isLast ? forward : {}), ...gradients }), kept: [] };
  }
  const nodes = Object.values(gradients);
  const products = productsToKeep(end, nodes);
  const names = products.map((_, i) => borderNames.kept(i));
  const reading = replaced(nodes, products, borderNames.kept);
  return {
    forward: { ...forward, ...Object.fromEntries(products.map((node, i) => [names[i]!, node])) },
    backward: g.joinThinProducts(Object.fromEntries(Object.keys(gradients).map((name, i) => [name, reading[i]!]))),
    kept: names,
  };
}
