/**
 * A training step played through on a model of the heap: every program takes and frees its blocks in the order in which they
 * come, and between them stands what the step itself holds. Follows `segmented-plan.ts`, `staged-layer.ts` and `head-runner.ts`.
 */
import * as g from '../graph/index.ts';
import { type HeadStretch, headRowsAtOnce } from './head-chunks.ts';
import type { BatchSize } from './memory-plan.ts';
import { keepsAttended, type SegmentedForm } from './plan-form.ts';
import type { PlannedLayer, SegmentGraphs } from './planned-graphs.ts';
import { borderNames, type Outputs } from './segments.ts';
import { stageNames } from './layer-stages.ts';

/** What the kernel maps around a page that is touched. */
const mappedAround = 65_536;
/** Of equal programs in a row so many are played through: the next ones find the heap as these left it. */
const playedInRow = 2;

const schedules = new WeakMap<Outputs, g.Schedule>();

function scheduleOf(outputs: Outputs): g.Schedule {
  let schedule = schedules.get(outputs);
  if (!schedule) schedules.set(outputs, (schedule = g.scheduleOf(Object.values(outputs))));
  return schedule;
}

/** Blocks of tensors in JavaScript by name. */
type Held = Record<string, g.HeapTensor>;

/** Bytes of each weight as a program touches it: of a table that is only looked up, the rows of the batch. */
export function touchedWeights(outputs: Outputs, bindings: g.Bindings): Map<g.Node, number> {
  const nodes = g.reachableNodes(Object.values(outputs));
  const touched = new Map<g.Node, number>();
  for (const [weight, using] of g.usersOf(nodes)) {
    if (weight.op !== 'weight') continue;
    const size = g.tensorBytes(weight, {});
    const lookups = using.filter((node) => node.op === 'gather' && node.inputs[0] === weight);
    const rows = lookups.reduce(
      (count, node) => count + g.tensorBytes({ ...node.inputs[1]!, dtype: 'uint8' }, bindings),
      0,
    );
    const row = size / Number(weight.shape[0] ?? 1);
    touched.set(weight, lookups.length < using.length ? size : Math.min(size, rows * (row + mappedAround)));
  }
  return touched;
}

/** A program on a batch of one size. */
export interface SizedProgram {
  readonly names: readonly string[];
  readonly run: g.MeasuredRun;
  /** Bytes of files that are mapped when it has run. */
  readonly mapped: number;
}

/** @param mapsWeights whether weights are mapped from their files; else they were read or copied before. */
export function sizedProgram(outputs: Outputs, bindings: g.Bindings, mapsWeights: boolean): SizedProgram {
  const touched = mapsWeights ? touchedWeights(outputs, bindings) : new Map<g.Node, number>();
  const run = g.measureRun(scheduleOf(outputs), bindings, (weight) => touched.get(weight) ?? 0);
  let mapped = 0;
  for (const bytes of touched.values()) mapped += bytes;
  return { names: Object.keys(outputs), run, mapped };
}

/** What a step in segments holds beside its programs, in bytes. */
export interface StepSettings {
  readonly form: SegmentedForm;
  readonly bindings: g.Bindings;
  readonly batch: BatchSize;
  readonly hiddenSize: number;
  /** Dropout masks of one segment. */
  readonly masks: number;
}

/** Steps in segments on a heap. */
export class PlannedStep {
  private readonly heap: g.Heap;
  private readonly graphs: SegmentGraphs;
  private readonly settings: StepSettings;
  private readonly sized = new Map<Outputs, Map<g.Bindings, SizedProgram>>();
  /** Rows of a stretch of the tokens, and how many stretches there are. */
  private readonly part: g.Bindings;
  private readonly parts: number;
  /** Bytes of x, the input of a layer. */
  private readonly border: number;
  private hasRead = false;
  /** Programs that stay, with what they map. */
  private readonly keptMapped = new Set<Outputs>();

  constructor(heap: g.Heap, graphs: SegmentGraphs, settings: StepSettings) {
    const { form, bindings, batch, hiddenSize } = settings;
    this.heap = heap;
    this.graphs = graphs;
    this.settings = settings;
    this.parts = Math.ceil(batch.tokens / (form.tokensAtOnce ?? batch.tokens));
    this.part = { ...bindings, N: Math.ceil(batch.tokens / this.parts) };
    this.border = batch.tokens * hiddenSize * 4;
  }

  /** Forward and backward. */
  step(): void {
    const { heap, graphs, border } = this;
    const kept = this.settings.form.keptIn ?? 'memory';
    const pile: g.HeapTensor[] = [];
    const products: Held[] = [];
    let x: g.HeapTensor | undefined;
    graphs.layers.forEach((layer, i) => {
      const below = x;
      ({ [borderNames.output]: x, ...products[i] } = this.forward(layer, this.isPlayed(i, 1)) as {
        [borderNames.output]: g.HeapTensor;
      });
      if (!below) return;
      if (kept === 'memory') pile.push(below);
      else {
        if (kept === 'bfloat16') pile.push(heap.take(border / 2));
        heap.give(below);
      }
    });
    let arriving: g.HeapTensor | undefined = this.head();
    if (x) heap.give(x);
    for (let i = graphs.layers.length - 1; i >= 0 && graphs.layers[i]!.moves; i--) {
      let input: g.HeapTensor | undefined;
      if (i > 0) {
        input = kept === 'memory' ? pile.pop() : heap.take(border);
        const half = kept === 'bfloat16' ? pile.pop() : undefined;
        if (half) heap.give(half);
      }
      const leaving = this.backward(graphs.layers[i]!, this.isPlayed(i, -1));
      this.giveAll(products[i]!);
      if (input) heap.give(input);
      if (arriving) heap.give(arriving);
      arriving = leaving;
    }
    if (arriving) heap.give(arriving);
    for (const block of pile) heap.give(block);
  }

  /** Forward alone, as evaluation runs it. */
  loss(): void {
    let x: g.HeapTensor | undefined;
    this.graphs.layers.forEach((layer, i) => {
      const { [borderNames.output]: above, ...products } = this.forward(layer, this.isPlayed(i, 1));
      this.giveAll(products);
      if (x) this.heap.give(x);
      x = above;
    });
    this.head(true);
    if (x) this.heap.give(x);
  }

  private isPlayed(index: number, direction: 1 | -1): boolean {
    const { layers } = this.graphs;
    for (let i = 1; i <= playedInRow; i++) if (layers[index - i * direction] !== layers[index]) return true;
    return false;
  }

  /** Gives y, and products that are kept. */
  private forward({ segment, stages }: PlannedLayer, isPlayed: boolean): Held {
    if (!isPlayed) return this.results(segment ? segment.forward : stages.behind.forward);
    if (segment) return this.run(segment.forward);
    const mixed = this.inStretches(stages.before.forward);
    const attended = this.run(stages.mixing.forward);
    this.giveAll(mixed);
    const results = this.inStretches(stages.behind.forward);
    this.giveAll(attended);
    return results;
  }

  /** Gives the gradient at x. */
  private backward({ segment, stages }: PlannedLayer, isPlayed: boolean): g.HeapTensor | undefined {
    const leaves = (graph: Outputs | undefined): g.HeapTensor | undefined =>
      graph?.[borderNames.leaving] ? this.heap.take(this.border) : undefined;
    if (segment) {
      if (!segment.backward) return undefined;
      if (!isPlayed) return leaves(segment.backward);
      return this.onlyLeaving(this.run(segment.backward));
    }
    const { before, mixing, behind } = stages;
    if (!behind.backward) return undefined;
    if (!isPlayed) return leaves(before.backward ?? behind.backward);
    const keeps = keepsAttended(this.settings.form);
    let mixed = keeps ? undefined : this.inStretches(before.forward);
    const attended = keeps ? this.results(mixing.forward) : this.run(mixing.forward);
    const { [borderNames.leaving]: past, ...gradients } = this.inStretches(behind.backward);
    if (!before.backward) {
      for (const held of [mixed ?? {}, attended, gradients]) this.giveAll(held);
      return past;
    }
    mixed ??= this.inStretches(before.forward);
    const middle = this.run(mixing.backward!);
    const inner: Held = {};
    stages.mixed.forEach((_, i) => {
      const name = stageNames.gradientOf(stageNames.mixed(i));
      const block = middle[name];
      if (block) inner[name] = block;
      delete middle[name];
    });
    for (const held of [middle, mixed, attended, gradients]) this.giveAll(held);
    const leaving = this.onlyLeaving(this.inStretches(before.backward));
    this.giveAll(inner);
    if (past) this.heap.give(past);
    return leaving;
  }

  /** The loss, and the gradient at x but for evaluation. */
  private head(isForward = false): g.HeapTensor | undefined {
    const { head } = this.graphs;
    if (!isStretch(head)) {
      const { form, bindings, masks } = this.settings;
      const tail = form.tailLayers ?? 0;
      // a tail has the dropout masks of all its layers, and its backward program stays
      const graph = isForward ? head.forward : head.backward!;
      return this.onlyLeaving(this.run(graph, bindings, tail * masks, !isForward && tail > 0));
    }
    const { bindings, hiddenSize } = this.settings;
    const rows = Math.min(bindings['R']!, headRows(head, this.settings.form));
    const some = { ...bindings, R: rows };
    const blocks = this.heap.take(bindings['R']! * hiddenSize * 4);
    this.giveAll(this.run(head.forward, some));
    this.giveAll(this.run(head.forward, some));
    let arriving: g.HeapTensor | undefined;
    if (!isForward) {
      arriving = this.heap.take(this.border);
      this.giveAll(this.run(head.backward, some));
      this.giveAll(this.run(head.backward, some));
    }
    this.heap.give(blocks);
    return arriving;
  }

  private onlyLeaving({ [borderNames.leaving]: leaving, ...gradients }: Held): g.HeapTensor | undefined {
    this.giveAll(gradients);
    return leaving;
  }

  private giveAll(held: Held): void {
    for (const block of Object.values(held)) this.heap.give(block);
  }

  /** Runs a program once, and releases it unless others share it or it is kept. */
  private run(outputs: Outputs, bindings = this.settings.bindings, moreMasks = 0, isKept = false): Held {
    const { heap, graphs } = this;
    const isShared = graphs.shared.has(outputs);
    if (isShared && !this.hasRead) {
      heap.take(graphs.read);
      this.hasRead = true;
    }
    const masks = this.settings.masks + moreMasks > 0 ? heap.take(this.settings.masks + moreMasks) : undefined;
    const program = this.program(outputs, bindings, !isShared);
    if (this.keptMapped.has(outputs)) heap.map(-program.mapped);
    const blocks = g.runOn(heap, program.run);
    if (isKept) this.keptMapped.add(outputs);
    else heap.map(-program.mapped);
    if (masks) heap.give(masks);
    return Object.fromEntries(program.names.map((name, i) => [name, blocks[i]!]));
  }

  private program(outputs: Outputs, bindings: g.Bindings, mapsWeights: boolean): SizedProgram {
    let sizes = this.sized.get(outputs);
    if (!sizes) this.sized.set(outputs, (sizes = new Map()));
    const key = bindings['N'] === this.part['N'] && this.parts > 1 ? this.part : this.settings.bindings;
    let program = sizes.get(key);
    if (!program) sizes.set(key, (program = sizedProgram(outputs, bindings, mapsWeights)));
    return program;
  }

  /** A program over stretches of the tokens; results of [N, ...] are put together, others are collected. */
  private inStretches(outputs: Outputs): Held {
    if (this.parts === 1) return this.tokenwise(this.run(outputs), outputs);
    const whole: Held = {};
    for (let i = 0; i < Math.min(this.parts, playedInRow); i++) {
      const results = this.tokenwise(this.run(outputs, this.part), outputs);
      for (const name of Object.keys(results)) {
        whole[name] ??= this.heap.take(g.tensorBytes(outputs[name]!, this.settings.bindings));
        this.heap.give(results[name]!);
      }
    }
    return whole;
  }

  /** Gives back what is not by token. */
  private tokenwise(results: Held, outputs: Outputs): Held {
    const held: Held = {};
    for (const [name, block] of Object.entries(results)) {
      if (outputs[name]!.shape[0] === 'N') held[name] = block;
      else this.heap.give(block);
    }
    return held;
  }

  /** The results of a program without its run. */
  private results(outputs: Outputs): Held {
    return Object.fromEntries(
      Object.entries(outputs).map(([name, node]) => [
        name,
        this.heap.take(g.tensorBytes(node, this.settings.bindings)),
      ]),
    );
  }
}

function isStretch(head: SegmentGraphs['head']): head is HeadStretch {
  return 'begin' in head;
}

/** Labelled rows that a stretch of the head takes at a time. */
function headRows({ begin, end }: HeadStretch, { tokensAtOnce }: SegmentedForm): number {
  return headRowsAtOnce(end - begin, tokensAtOnce);
}
