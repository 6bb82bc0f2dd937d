/** Runs layers, whole or cut around their attention with a few tokens at a time. */
import { giveBack, type TensorValue } from '../runtime/index.ts';
import type { KeptInputs } from './kept-inputs.ts';
import { type LayerStages, type Stage, stageNames } from './layer-stages.ts';
import type { SegmentGraph, SegmentPrograms } from './segment-programs.ts';
import { borderNames, type Segment } from './segments.ts';
import type { Collect } from './step-plan.ts';

type Values = Record<string, TensorValue>;

/** What a pass gives its layers. */
export interface PassContext {
  readonly feeds: Readonly<Values>;
  /** Feeds (dropout masks) by name that are only made when they are needed. */
  readonly feedsFor: (names: readonly string[]) => Values;
  readonly collect: Collect;
  /** Called after each program. */
  readonly onRun: () => void;
  /** Where what attention gave waits for the backward pass; left out: it is computed again there. */
  readonly attended?: KeptInputs | undefined;
}

/** One stretch between two cuts. */
export interface LayerRunner {
  /** Programs that the two passes run. */
  readonly runs: { readonly forward: number; readonly backward: number };
  /** Gives the output; the head gives none, and its loss is collected. */
  forward(x: TensorValue | undefined, context: PassContext): Promise<TensorValue | undefined>;
  /** Gives the gradient at x where one is wanted. */
  backward(
    x: TensorValue | undefined,
    arriving: TensorValue | undefined,
    context: PassContext,
  ): Promise<TensorValue | undefined>;
}

/** A segment with a program for each direction. */
export function wholeSegment(programs: SegmentPrograms, segment: Segment, isKept = false): LayerRunner {
  const forward = programs.prepare(segment.forward);
  const backward = segment.backward && programs.prepare(segment.backward, isKept);
  const run = (graph: SegmentGraph, extra: Values, context: PassContext): Promise<Values> =>
    runOnce(programs, graph, extra, context);
  let products: Values = {};
  return {
    runs: { forward: 1, backward: backward ? 1 : 0 },
    forward: async (x, context) => {
      const results = await run(forward, x ? { [borderNames.input]: x } : {}, context);
      collectAll(results, [borderNames.output, ...segment.kept], context);
      products = Object.fromEntries(segment.kept.map((name) => [name, results[name]!]));
      return results[borderNames.output];
    },
    backward: async (x, arriving, context) => {
      if (!backward) return undefined;
      const given = {
        ...(x ? { [borderNames.input]: x } : {}),
        ...(arriving ? { [borderNames.arriving]: arriving } : {}),
        ...products,
      };
      const results = await run(backward, given, context);
      giveBack(Object.values(products));
      products = {};
      collectAll(results, [borderNames.leaving], context);
      return results[borderNames.leaving];
    },
  };
}

/**
 * A layer whose parts before and behind its attention run on at most `tokensAtOnce` tokens at a time.
 * @param keepsAttended whether training passes bring a pile for what attention gives.
 */
export function stagedLayer(
  programs: SegmentPrograms,
  stages: LayerStages,
  tokensAtOnce: number,
  keepsAttended: boolean,
): LayerRunner {
  const prepare = ({ forward, backward }: Stage) => ({
    forward: programs.prepare(forward),
    backward: backward && programs.prepare(backward),
  });
  const before = prepare(stages.before);
  const mixing = prepare(stages.mixing);
  const behind = prepare(stages.behind);

  /** One program over stretches of tokens; results of [N, ...] are put together, others collected. */
  const inStretches = async (graph: SegmentGraph, given: Values, context: PassContext): Promise<Values> => {
    const masks = context.feedsFor(graph.names);
    const all = { ...context.feeds, ...given, ...masks };
    const tokens = given[borderNames.input]!.shape[0]!;
    const count = Math.ceil(tokens / tokensAtOnce);
    const whole: Values = {};
    const place = (results: Values, begin: number): void => {
      for (const [name, value] of Object.entries(results)) {
        if (count === 1 && graph.outputs[name]!.shape[0] === 'N') {
          whole[name] = value;
          continue;
        }
        if (graph.outputs[name]!.shape[0] === 'N') putRows(whole, name, value, tokens, begin);
        else context.collect(name, value);
        giveBack([value]);
      }
    };
    const program = await programs.open(graph);
    try {
      for (let part = 0; part < count; part++) {
        const begin = Math.floor((tokens * part) / count);
        const end = Math.floor((tokens * (part + 1)) / count);
        place(await program.run(count === 1 ? all : { ...all, ...rowsOf(graph, all, begin, end) }), begin);
      }
    } finally {
      await program.close();
    }
    giveBack(Object.values(masks));
    context.onRun();
    return whole;
  };
  const atOnce = (graph: SegmentGraph, given: Values, context: PassContext): Promise<Values> =>
    runOnce(programs, graph, given, context);

  const given = stages.given.map((_, i) => stageNames.given(i));
  // backward through all parts, or only through what stands behind attention; before it, what attention gave
  const parts = before.backward ? 4 : 1;
  return {
    runs: { forward: 3, backward: behind.backward ? parts + (keepsAttended ? 0 : before.backward ? 1 : 2) : 0 },
    forward: async (x, context) => {
      const own = { [borderNames.input]: x! };
      const mixed = await inStretches(before.forward, own, context);
      const attended = await atOnce(mixing.forward, mixed, context);
      if (behind.backward) for (const name of given) context.attended?.put(attended[name]!);
      giveBack(Object.values(mixed));
      const results = await inStretches(behind.forward, { ...own, ...attended }, context);
      giveBack(Object.values(attended));
      return results[borderNames.output]!;
    },
    backward: async (x, arriving, context) => {
      if (!behind.backward) return undefined;
      const own = { [borderNames.input]: x! };
      let mixed: Values | undefined;
      const mix = async (): Promise<Values> => (mixed ??= await inStretches(before.forward, own, context));
      const kept = context.attended;
      const attended = kept
        ? Object.fromEntries(given.toReversed().map((name) => [name, kept.take()]))
        : await atOnce(mixing.forward, await mix(), context);
      const upper = await inStretches(
        behind.backward,
        { ...own, ...attended, [borderNames.arriving]: arriving! },
        context,
      );
      const { [borderNames.leaving]: past, ...gradients } = upper;
      if (!before.backward) {
        giveBack([...Object.values(mixed ?? {}), ...Object.values(attended), ...Object.values(gradients)]);
        return past;
      }
      const middle = await atOnce(mixing.backward!, { ...(await mix()), ...attended, ...gradients }, context);
      const inner: Values = {};
      stages.mixed.forEach((_, i) => {
        const name = stageNames.gradientOf(stageNames.mixed(i));
        if (middle[name]) inner[name] = middle[name];
      });
      collectAll(middle, Object.keys(inner), context);
      for (const values of [await mix(), attended, gradients]) giveBack(Object.values(values));
      const lower = await inStretches(
        before.backward,
        { ...own, ...inner, ...(past ? { [borderNames.arriving]: past } : {}) },
        context,
      );
      giveBack([...Object.values(inner), past]);
      return lower[borderNames.leaving];
    },
  };
}

/** Runs a graph on all tokens; masks that were made for it are gone then. */
async function runOnce(
  programs: SegmentPrograms,
  graph: SegmentGraph,
  given: Values,
  { feeds, feedsFor, onRun }: PassContext,
): Promise<Values> {
  const masks = feedsFor(graph.names);
  const results = await programs.run(graph, { ...feeds, ...given, ...masks });
  giveBack(Object.values(masks));
  onRun();
  return results;
}

/** Collects results but for some, and gives them back. */
function collectAll(results: Values, except: readonly string[], { collect }: PassContext): void {
  for (const [name, value] of Object.entries(results)) {
    if (except.includes(name)) continue;
    collect(name, value);
    giveBack([value]);
  }
}

/** Rows `begin` to `end` of all that a graph takes by token. */
function rowsOf(graph: SegmentGraph, values: Readonly<Values>, begin: number, end: number): Values {
  const rows: Values = {};
  for (const node of graph.inputs) {
    if (node.shape[0] !== 'N') continue;
    const { name } = node.attributes;
    const { dtype, shape, data } = values[name]!;
    const width = data.length / shape[0]!;
    rows[name] = { dtype, shape: [end - begin, ...shape.slice(1)], data: data.subarray(begin * width, end * width) };
  }
  return rows;
}

function putRows(
  whole: Values,
  name: string,
  { dtype, shape, data }: TensorValue,
  tokens: number,
  begin: number,
): void {
  const width = data.length / shape[0]!;
  const target = (whole[name] ??= {
    dtype,
    shape: [tokens, ...shape.slice(1)],
    data: new Float32Array(tokens * width),
  });
  (target.data as Float32Array).set(data as Float32Array, begin * width);
}
