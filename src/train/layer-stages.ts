/**
 * A layer cut around its attention: what stands before and behind it treats every token by itself, and can run on a few
 * tokens at a time. Found in the graph, so that it holds for every family whose layers mix tokens in one place.
 */
import * as g from '../graph/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { borderNames, gradientOutputs, type Outputs, type SegmentBody } from './segments.ts';

/** A part of a layer in both directions. Inputs and outputs go by the names of `stageNames`. */
export interface Stage {
  readonly forward: Outputs;
  /** Undefined where no gradient is wanted. */
  readonly backward: Outputs | undefined;
}

/** The three parts, and the tensors between them: [N, ...] each. */
export interface LayerStages {
  /** x -> what attention mixes (queries, keys, values). */
  readonly before: Stage;
  /** That -> what attention gives; the gradient is given this too. */
  readonly mixing: Stage;
  /** x and that -> y. */
  readonly behind: Stage;
  readonly mixed: readonly g.Node[];
  readonly given: readonly g.Node[];
}

/** Names of the tensors between the parts; `gradient` of one goes by the other name. */
export const stageNames = {
  mixed: (index: number): string => `mixed ${index}`,
  given: (index: number): string => `given ${index}`,
  gradientOf: (name: string): string => `gradient of ${name}`,
} as const;

const isTokenwise = ({ shape }: g.Node): boolean => shape[0] === 'N';

/** Operations that treat every row of their first axis alike, apart from the axes that they name. */
const elementwise: ReadonlySet<g.OpName> = new Set([
  'add',
  'sub',
  'mul',
  'div',
  'neg',
  'exp',
  'log',
  'sqrt',
  'tanh',
  'sigmoid',
  'silu',
  'gelu',
  'erf',
  'cast',
  'greaterOrEqual',
  'less',
  'equal',
  'and',
  'where',
  'expand',
  'reshape',
  'cut',
]);
/** Operations over the last axis. */
const overLastAxis: ReadonlySet<g.OpName> = new Set(['softmax', 'rmsNorm', 'layerNorm', 'rotary']);

/** Whether a row of the result needs nothing but the same row of those inputs for which `varies` holds. */
function keepsRows(node: g.Node, varies: (input: g.Node) => boolean): boolean {
  const inputs = node.inputs.filter(varies);
  if (!isTokenwise(node) || !inputs.every(isTokenwise)) return false;
  if (elementwise.has(node.op)) return true;
  if (overLastAxis.has(node.op)) return node.shape.length > 1 && inputs.length === 1 && inputs[0] === node.inputs[0];
  switch (node.op) {
    case 'matmul': {
      const { transposeA } = (node as g.Node<'matmul'>).attributes;
      return node.shape.length > 2 || (!transposeA && !varies(node.inputs[1]!));
    }
    case 'quantizedMatmul':
      return true;
    case 'transpose':
      return (node as g.Node<'transpose'>).attributes.permutation[0] === 0;
    case 'concat':
    case 'slice': {
      const { axis } = (node as g.Node<'concat' | 'slice'>).attributes;
      return axis !== 0 && axis !== -node.shape.length;
    }
    case 'reduceSum':
    case 'reduceMean':
    case 'reduceMax': {
      const { axes } = (node as g.Node<'reduceSum'>).attributes;
      return !axes.some((axis) => axis === 0 || axis === -node.shape.length);
    }
    default:
      return false;
  }
}

/** Where a node stands: before attention, in it, or behind it. */
type Place = 0 | 1 | 2;

/** The place of every node that depends on `start`; undefined where tokens are mixed twice. */
function placesOf(nodes: readonly g.Node[], start: g.Node): Map<g.Node, Place> | undefined {
  const places = new Map<g.Node, Place>([[start, 0]]);
  for (const node of nodes) {
    const below = node.inputs.flatMap((input) => places.get(input) ?? []);
    if (below.length === 0) continue;
    const highest = Math.max(...below) as Place;
    const rows = keepsRows(node, (input) => places.has(input));
    if (!rows && highest === 2) return undefined;
    places.set(node, rows ? (highest === 0 ? 0 : 2) : 1);
  }
  return places;
}

/** Nodes at one place that nodes at another use. */
function borderOf(nodes: readonly g.Node[], places: ReadonlyMap<g.Node, Place>, from: Place, to: Place): g.Node[] {
  const users = nodes.filter((node) => places.get(node) === to);
  return [...new Set(users.flatMap(({ inputs }) => inputs.filter((input) => places.get(input) === from)))];
}

/** Gradients of attention that take what it gave, which is at hand, and do not compute it again. */
function withGiven(gradients: Outputs, given: ReadonlyMap<g.Node, g.Node>): Outputs {
  const names = Object.keys(gradients);
  const nodes = g.substitute(Object.values(gradients), given);
  return Object.fromEntries(names.map((name, i) => [name, nodes[i]!]));
}

/** Cuts a layer; undefined where it cannot be cut so. */
export function layerStages({ start, end, below, moves }: SegmentBody, method: TuningMethod): LayerStages | undefined {
  if (!start) return undefined;
  const nodes = g.reachableNodes([end]);
  const places = placesOf(nodes, start);
  if (places?.get(end) !== 2) return undefined;
  const mixed = borderOf(nodes, places, 0, 1);
  const given = borderOf(nodes, places, 1, 2);
  if (![...mixed, ...given].every((node) => isTokenwise(node) && node.dtype === 'float32')) return undefined;

  const inputsFor = (borders: readonly g.Node[], name: (index: number) => string): g.Node[] =>
    borders.map((node, i) => g.input(name(i), node.dtype, node.shape));
  const mixedInputs = inputsFor(mixed, stageNames.mixed);
  const givenInputs = inputsFor(given, stageNames.given);
  const innerGiven = g.substitute(given, new Map(mixed.map((node, i) => [node, mixedInputs[i]!])));
  const [y] = g.substitute([end], new Map(given.map((node, i) => [node, givenInputs[i]!])));
  const named = (list: readonly g.Node[], name: (index: number) => string): Record<string, g.Node> =>
    Object.fromEntries(list.map((node, i) => [name(i), node]));
  const gradientNames = (name: (index: number) => string) => (index: number) => stageNames.gradientOf(name(index));
  const seedsFor = (list: readonly g.Node[], name: (index: number) => string) =>
    list.map((output, i) => ({
      output,
      seed: g.input(gradientNames(name)(i), output.dtype, output.shape),
    }));

  const arriving = g.input(borderNames.arriving, end.dtype, end.shape);
  const behind = moves
    ? gradientOutputs(
        [{ output: y!, seed: arriving }],
        {
          ...(below ? { [borderNames.leaving]: start } : {}),
          ...named(givenInputs, gradientNames(stageNames.given)),
        },
        method,
      )
    : undefined;
  const mixing = moves
    ? withGiven(
        gradientOutputs(
          seedsFor(innerGiven, stageNames.given),
          named(mixedInputs, gradientNames(stageNames.mixed)),
          method,
        ),
        new Map(innerGiven.map((node, i) => [node, givenInputs[i]!])),
      )
    : undefined;
  let before: Record<string, g.Node> | undefined;
  if (moves) {
    before = gradientOutputs(seedsFor(mixed, stageNames.mixed), below ? { [borderNames.leaving]: start } : {}, method);
    const flow = before[borderNames.leaving];
    // what came past the attention is added here
    if (flow) before[borderNames.leaving] = g.add(g.input(borderNames.arriving, end.dtype, start.shape), flow);
    if (Object.keys(before).length === 0) before = undefined;
  }
  return {
    before: { forward: named(mixed, stageNames.mixed), backward: before },
    mixing: { forward: named(innerGiven, stageNames.given), backward: before && mixing },
    behind: { forward: { [borderNames.output]: y! }, backward: behind },
    mixed,
    given,
  };
}
