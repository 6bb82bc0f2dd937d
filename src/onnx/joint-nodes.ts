/**
 * Operations that share one ONNX node with another: sums that a product or a norm computes by itself, slices that together
 * are a split. Found before lowering; `lowerGraph` emits them.
 */
import { type Node, sameShape, usersOf } from '../graph/index.ts';
import type { OnnxNode } from './proto.ts';

/**
 * Sums of two equally large matrices that a norm reads, and nobody before it, by the norm.
 * @param others sums that something else computes.
 */
export function normsOfSums(nodes: readonly Node[], others: ReadonlyMap<Node, unknown>): Map<Node, Node<'add'>> {
  const users = usersOf(nodes);
  const result = new Map<Node, Node<'add'>>();
  const taken = new Set<Node>(others.keys());
  for (const node of nodes) {
    if (node.op !== 'rmsNorm') continue;
    const sum = node.inputs[0]!;
    if (sum.op !== 'add' || sum.shape.length !== 2 || taken.has(sum)) continue;
    if (!sum.inputs.every(({ shape }) => sameShape(shape, sum.shape))) continue;
    if (users.get(sum)!.some((user) => user.id < node.id)) continue;
    taken.add(sum);
    result.set(node, sum as Node<'add'>);
  }
  return result;
}

/** Slices that cover a tensor without overlap, in the order in which they lie; each of them leads to all. */
export function splitsOf(nodes: readonly Node[]): Map<Node, readonly Node<'slice'>[]> {
  const result = new Map<Node, readonly Node<'slice'>[]>();
  for (const [source, users] of usersOf(nodes)) {
    const slices = users.filter((user): user is Node<'slice'> => user.op === 'slice');
    const axis = slices[0]?.attributes.axis;
    if (axis === undefined || slices.some(({ attributes }) => attributes.axis !== axis)) continue;
    const parts = slices.toSorted((a, b) => a.attributes.start - b.attributes.start);
    const ends = [0, ...parts.map(({ attributes }) => attributes.end)];
    const covers = ends.at(-1) === source.shape[axis] && parts.every((part, i) => part.attributes.start === ends[i]);
    if (parts.length > 1 && covers) for (const part of parts) result.set(part, parts);
  }
  return result;
}

/** The nodes without reshapes that only reshapes read: the last one of a chain says all. */
export function withoutReshapeChains(nodes: readonly OnnxNode[], kept: (value: string) => boolean): OnnxNode[] {
  const sources = new Map<string, string>();
  const shortened = nodes.map((node) => {
    if (node.opType !== 'Reshape') return node;
    const [x, shape] = node.inputs as [string, string];
    const source = sources.get(x) ?? x;
    sources.set(node.outputs[0]!, source);
    return source === x ? node : { ...node, inputs: [source, shape] };
  });
  const read = new Set(shortened.flatMap(({ inputs }) => inputs));
  return shortened.filter(({ opType, outputs }) => opType !== 'Reshape' || read.has(outputs[0]!) || kept(outputs[0]!));
}
