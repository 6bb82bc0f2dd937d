/** What the two execution plans of a training step have in common. */
import { type Node, reachableNodes } from '../graph/index.ts';
import type { TensorValue } from '../runtime/index.ts';
import type { TuningMethod } from '../tuning/index.ts';

/** Name of the loss among a program's outputs. */
export const lossOutput = 'loss';

/** Name of a trainable's gradient among a program's outputs. */
export function gradientOutput(name: string): string {
  return `gradient ${name}`;
}

/** Takes a program's output as soon as it is there: the loss, or a gradient. */
export type Collect = (output: string, value: TensorValue) => void;

export interface StepPlan {
  readonly kind: 'whole' | 'segmented';
  /**
   * One forward and backward pass.
   * @param feeds the batch and all trainables; @param feedsFor adds feeds (dropout masks) by name when they are needed.
   */
  step(
    feeds: Readonly<Record<string, TensorValue>>,
    feedsFor: (names: readonly string[]) => Record<string, TensorValue>,
    collect: Collect,
    onProgress?: (fraction: number) => void,
  ): Promise<void>;
  /** The loss alone, forward and without dropout. */
  loss(feeds: Readonly<Record<string, TensorValue>>): Promise<number>;
  release(): Promise<void>;
}

/** The nodes of the trainables that the outputs reach, by name. */
export function trainableNodes(outputs: readonly Node[], method: TuningMethod): Map<string, Node> {
  const names = new Set(method.trainables.map(({ name }) => name));
  const found = new Map<string, Node>();
  for (const node of reachableNodes(outputs)) {
    if (node.op !== 'input') continue;
    const { name } = (node as Node<'input'>).attributes;
    if (!names.has(name)) continue;
    const known = found.get(name);
    if (known && known !== node) throw new Error(`two nodes stand for ${name}`);
    found.set(name, node);
  }
  return found;
}
